//! What an output Secret holds: sets of keys (`presets`), and keys by templates of the user's (`template`).
//!
//! It is a function of the spec, of how clients connect, and of the login. What can be wrong with a template shows before anything
//! is sent to a server, with [`check`]; what only a password's length decides shows when the password is known, and is asked
//! before that is sent.

mod escape;
mod filters;
mod login;
mod presets;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use self::login::Login;
use self::template::Renderer;
use super::connection::ConnectionDetails;
use super::password::Password;
use super::plan::Invalid;
use crate::api::secret_preset::{ALWAYS, CLASHES, clash};
use crate::api::{OutputSecret, Reason, SecretPreset, SslMode};

/// The condition's reason.
const REASON: Reason = Reason::InvalidSettings;
/// In bytes, of all keys and values. An API server takes 1 MiB.
const LARGEST: usize = 256 * 1024;
/// As long as a password gets that is generated.
const LONGEST_PASSWORD: usize = 128;

/// Keys and values.
pub type Keys = BTreeMap<String, Zeroizing<String>>;

/// The keys and values of an output Secret.
///
/// # Errors
/// If presets and templates do not go together, or a template cannot be rendered.
pub fn render(
    details: &ConnectionDetails,
    username: &str,
    password: &Password,
    spec: &OutputSecret,
) -> Result<Keys, Invalid> {
    goes_together(spec)?;
    let login = login(details, username, password, spec);
    let mut keys = by_presets(&login, spec);
    if spec.data.is_empty() {
        return Ok(keys);
    }
    let renderer = Renderer::new(&login);
    for (key, source) in &spec.data {
        let value = renderer.render(source).map_err(|fault| faulty(key, &fault))?;
        keys.insert(key.clone(), value);
    }
    let size: usize = keys.iter().map(|(key, value)| key.len() + value.len()).sum();
    match size <= LARGEST {
        true => Ok(keys),
        false => Err(invalid(format!(
            "spec.secret.data: all keys and values together are more than {} KiB: name {{{{ ca }}}} less often, or mount ca.crt \
             and name {{{{ caFile }}}}",
            LARGEST / 1024
        ))),
    }
}

/// The same without what templates write.
pub fn render_presets(
    details: &ConnectionDetails,
    username: &str,
    password: &Password,
    spec: &OutputSecret,
) -> Keys {
    by_presets(&login(details, username, password, spec), spec)
}

/// All of it; without what templates write, if they cannot be rendered, which the operator tells by itself.
pub fn render_as_far_as_possible(
    details: &ConnectionDetails,
    username: &str,
    password: &Password,
    spec: &OutputSecret,
) -> Keys {
    render(details, username, password, spec)
        .unwrap_or_else(|_| render_presets(details, username, password, spec))
}

fn login<'a>(
    details: &'a ConnectionDetails,
    username: &'a str,
    password: &'a Password,
    spec: &'a OutputSecret,
) -> Login<'a> {
    Login {
        details,
        username,
        password,
        mount: spec.mount_path.as_deref(),
    }
}

fn by_presets(login: &Login<'_>, spec: &OutputSecret) -> Keys {
    let of_presets = spec
        .presets()
        .iter()
        .flat_map(|preset| presets::of(*preset, login));
    let pairs = presets::always(login).into_iter().chain(of_presets);
    pairs.map(|(key, value)| (key.to_string(), value)).collect()
}

/// Why a spec's presets and templates cannot be done, if so: tried with values in place of those that are not known yet.
pub fn check(username: &str, spec: &OutputSecret, details: Option<&ConnectionDetails>) -> Option<Invalid> {
    if spec.data.is_empty() {
        return goes_together(spec).err();
    }
    let placeholder = ConnectionDetails {
        host: "host.example.com".to_string(),
        port: 5432,
        database: "database".to_string(),
        sslmode: SslMode::VerifyFull,
        channel_binding: None,
        provider: "postgresql",
        ca: Some(Arc::from("-----BEGIN CERTIFICATE-----\n".as_bytes())),
    };
    let password = Password::new("x".repeat(LONGEST_PASSWORD));
    render(details.unwrap_or(&placeholder), username, &password, spec).err()
}

/// An API server refuses these at admission, unless the object is older than the rule, or than a preset's key.
fn goes_together(spec: &OutputSecret) -> Result<(), Invalid> {
    let has = |preset: &SecretPreset| spec.presets().contains(preset);
    if let Some((one, other, key)) = CLASHES.iter().find(|(one, other, _)| has(one) && has(other)) {
        return Err(invalid(clash(*one, *other, key)));
    }
    for key in spec.data.keys() {
        let key = key.as_str();
        if ALWAYS.contains(&key) {
            return Err(invalid(format!(
                "spec.secret.data: {key:?} is a key that every Secret has: choose another name"
            )));
        }
        if let Some(preset) = spec.presets().iter().find(|preset| preset.keys().contains(&key)) {
            let preset = preset.as_str();
            return Err(invalid(format!(
                "spec.secret.data: {key:?}: the preset {preset} writes it, too: choose another name, or spec.secret.presets \
                 without {preset}"
            )));
        }
    }
    Ok(())
}

fn faulty(key: &str, fault: &template::Fault) -> Invalid {
    let line = fault.line.map_or(String::new(), |line| format!(", line {line}"));
    invalid(format!("spec.secret.data: {key:?}{line}: {}", fault.message))
}

fn invalid(message: String) -> Invalid {
    Invalid {
        reason: REASON,
        message,
    }
}

#[cfg(test)]
mod tests;
