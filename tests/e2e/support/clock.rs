//! A clock on the wall that a test sets, of the operator's process alone.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{Options, Outcome, REPOSITORY, World, command::piped};

/// The clock of the operators that were started with it.
pub struct Clock {
    file: File,
    said_in: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// One that is so many seconds ahead of the machine's.
    pub async fn ahead(world: &World, seconds: i64) -> Outcome<Clock> {
        let library = world.dir().join("clock.so");
        let source = Path::new(REPOSITORY).join("tests/e2e/support/clock.c");
        let mut compiler = tokio::process::Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source);
        let compiled = piped(compiler, "").await?;
        if !compiled.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)).into());
        }
        let said_in = world.dir().join("clock");
        let clock = Clock {
            file: File::create(&said_in)?,
            said_in,
            library,
        };
        clock.set(seconds)?;
        Ok(clock)
    }

    /// Sets it so many seconds ahead of the machine's, or back to that.
    pub fn set(&self, seconds: i64) -> Outcome {
        // In place: it is mapped by whoever goes by it.
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// Has an operator go by it.
    pub fn of(&self, options: Options) -> Options {
        options
            .env("LD_PRELOAD", &self.library.to_string_lossy())
            .env("PGUSER_TEST_CLOCK", &self.said_in.to_string_lossy())
    }
}
