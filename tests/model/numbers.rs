//! The numbers of a world, and their normal form.
//!
//! Clocks, versions and names only ever matter by their order and by small differences. So after every step they
//! are renumbered from one, and gaps longer than any wait of the protocol are made just longer than that: worlds
//! that differ in nothing but how long ago it all was are one world, and there are finitely many of them. Zero
//! stands for "longer ago than matters".

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Time,
    Date,
    Password,
    SecretVersion,
    ResourceVersion,
    Epoch,
    Sequence,
    Token,
    EntryId,
    Uid,
}

const SORTS: usize = 10;

/// No wait of the protocol is as long as this: W + T_live is 3.
const LONG: u8 = 4;

pub trait Numbered {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8));
}

impl<T: Numbered> Numbered for Option<T> {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        if let Some(inner) = self {
            inner.visit(f);
        }
    }
}

impl<T: Numbered> Numbered for Vec<T> {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        self.iter_mut().for_each(|inner| inner.visit(f));
    }
}

macro_rules! number {
    ($name:ident, $sort:ident) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u8);

        impl Numbered for $name {
            fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
                f(Sort::$sort, &mut self.0);
            }
        }

        impl $name {
            #[allow(dead_code)]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

number!(Tick, Time);
number!(Date, Date);
number!(Pw, Password);
number!(SecretVersion, SecretVersion);
number!(ResourceVersion, ResourceVersion);
number!(Epoch, Epoch);
number!(Sequence, Sequence);
number!(Token, Token);
number!(EntryNo, EntryId);
number!(Uid, Uid);

/// Implements `Numbered` for a struct by visiting the fields that hold numbers.
macro_rules! numbered {
    ($name:ident { $($field:ident),* }) => {
        impl $crate::numbers::Numbered for $name {
            fn visit(&mut self, f: &mut dyn FnMut($crate::numbers::Sort, &mut u8)) {
                $($crate::numbers::Numbered::visit(&mut self.$field, f);)*
            }
        }
    };
}
pub(crate) use numbered;

/// Renumbers. `one_clock`: the remote's clock runs with ours, and dates are compared with times.
pub fn normalise(world: &mut impl Numbered, one_clock: bool) {
    let index = |sort: Sort| match sort {
        Sort::Date if one_clock => Sort::Time as usize,
        other => other as usize,
    };
    let mut present = [[false; 256]; SORTS];
    let mut highest = 0;
    world.visit(&mut |sort, number| {
        present[index(sort)][usize::from(*number)] = *number > 0;
        highest = highest.max(usize::from(*number));
    });
    let mut renamed = [[0u8; 256]; SORTS];
    for (sort, (present, renamed)) in present.iter().zip(&mut renamed).enumerate() {
        let longest = if sort <= Sort::Date as usize { LONG } else { 1 };
        // Before the first comes a gap, too: zero is longer ago than any wait.
        let (mut last, mut name) = (None::<usize>, 0u8);
        for number in (0..=highest).filter(|number| present[*number]) {
            let gap = last.map_or(longest, |last| u8::try_from(number - last).unwrap_or(LONG));
            name += gap.min(longest);
            renamed[number] = name;
            last = Some(number);
        }
    }
    world.visit(&mut |sort, number| *number = renamed[index(sort)][usize::from(*number)]);
}
