//! Passwords made under the rules of `spec.password.generate`, and the rules a password of the user's own must
//! keep.

use thiserror::Error;
use zeroize::Zeroizing;

use super::password::Password;
use super::plan::Invalid;
use super::remote::Capabilities;
use crate::api::{Generate, Reason};

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

/// Rules that no password can keep: which field, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GenerateError {
    /// A number that is negative, or a length of nothing.
    #[error("spec.password.generate.{field} is {value}: set it to {least} or more")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What it says.
        value: i32,
        /// The least that it may say.
        least: i32,
    },
    /// Digits and symbols leave no room.
    #[error(
        "spec.password.generate: {digits} digits and {symbols} symbols do not fit a length of {length}: raise length, \
         or lower digits or symbols"
    )]
    NoRoom {
        /// The length.
        length: usize,
        /// How many digits are asked for.
        digits: usize,
        /// How many symbols are asked for.
        symbols: usize,
    },
    /// A symbol that is none.
    #[error(
        "spec.password.generate.symbolCharacters holds {0:?}: only printable ASCII without letters, digits, space and \
         backslash can be used"
    )]
    NotASymbol(char),
    /// Fewer characters to choose from than the rules ask for.
    #[error(
        "spec.password.generate asks for {asked} {what}, but there are only {there} to choose from{because}: {way_out}"
    )]
    TooFew {
        /// `letters`, `digits` or `symbols`.
        what: &'static str,
        /// How many are asked for.
        asked: usize,
        /// How many there are.
        there: usize,
        /// What makes them so few; empty, or starts with a space.
        because: &'static str,
        /// How to mend it.
        way_out: &'static str,
    },
}

/// The rules as counts of characters and what to choose them from.
struct Recipe {
    letters: (usize, Vec<char>),
    digits: (usize, Vec<char>),
    symbols: (usize, Vec<char>),
}

/// Makes a password under `rules`. It starts with a letter if the rules ask for any letters; apart from that,
/// every password that keeps the rules is as likely as any other.
///
/// `random` fills a buffer with random bytes, and must be fit for keys. One that yields the same bytes for ever
/// may keep this function from ending.
///
/// # Errors
/// If no password can keep the rules.
pub fn generate(rules: &Generate, random: &mut dyn FnMut(&mut [u8])) -> Result<Password, GenerateError> {
    let recipe = Recipe::of(rules)?;
    let length = recipe.letters.0 + recipe.digits.0 + recipe.symbols.0;
    // As large as it will get, so that nothing is left behind by growing.
    let mut chars = Zeroizing::new(Vec::with_capacity(length));
    for (count, pool) in [recipe.letters, recipe.digits, recipe.symbols] {
        pick(count, pool, rules.allow_repeat, &mut chars, random);
    }
    let fixed = usize::from(rules.length > rules.digits.saturating_add(rules.symbols));
    if let Some(rest) = chars.get_mut(fixed..) {
        shuffle(rest, random);
    }
    let mut text = String::with_capacity(length);
    text.extend(chars.iter());
    Ok(Password::new(text))
}

/// Why passwords under `rules` cannot be made, or would not be taken by the provider.
pub fn check(rules: &Generate, capabilities: &Capabilities) -> Option<Invalid> {
    if let Err(error) = Recipe::of(rules) {
        return Some(invalid(error.to_string()));
    }
    let length = usize::try_from(rules.length).unwrap_or(0);
    let Capabilities {
        name,
        password_min,
        password_max,
        ..
    } = capabilities;
    if !(*password_min..=*password_max).contains(&length) {
        return Some(invalid(format!(
            "spec.password.generate.length is {length}, but {name} takes passwords of {password_min} to {password_max} \
             characters: set a length between them"
        )));
    }
    // Where no symbols are asked for, none of them gets into a password.
    let wrong = excluded(&rules.symbol_characters, capabilities).filter(|_| rules.symbols > 0)?;
    Some(invalid(format!(
        "spec.password.generate.symbolCharacters holds {wrong:?}, which {name} does not take in a password: leave it out"
    )))
}

/// The first character of a text that the provider does not take in a password.
fn excluded(text: &str, capabilities: &Capabilities) -> Option<char> {
    text.chars().find(|c| capabilities.password_excludes.contains(*c))
}

/// Why a password of the user's own would not be taken. Says nothing about the password that an onlooker could
/// use.
pub fn check_own(password: &Password, capabilities: &Capabilities) -> Option<Invalid> {
    const WHERE: &str = "the password in the Secret that spec.password.secretRef names";
    let text = password.reveal();
    let name = capabilities.name;
    if text.ends_with(['\n', '\r']) {
        return Some(invalid(format!(
            "{WHERE} ends with a line break, which is not part of what people type: write it without (`printf %s`, \
             or `--from-literal`)"
        )));
    }
    if text.chars().any(char::is_control) {
        return Some(invalid(format!(
            "{WHERE} holds a control character, such as a tab or a NUL: write it without"
        )));
    }
    if let Some(wrong) = excluded(text, capabilities) {
        return Some(invalid(format!(
            "{WHERE} holds {wrong:?}, which {name} does not take: choose one without it"
        )));
    }
    let length = text.chars().count();
    if length < capabilities.password_min.max(1) {
        return Some(invalid(format!(
            "{WHERE} is too short: {name} takes no fewer than {} characters",
            capabilities.password_min.max(1)
        )));
    }
    (length > capabilities.password_max).then(|| {
        invalid(format!(
            "{WHERE} is too long: {name} takes no more than {} characters",
            capabilities.password_max
        ))
    })
}

fn invalid(message: String) -> Invalid {
    Invalid {
        reason: Reason::InvalidPassword,
        message,
    }
}

impl Recipe {
    fn of(rules: &Generate) -> Result<Self, GenerateError> {
        let length = count("length", rules.length, 1)?;
        let digits = count("digits", rules.digits, 0)?;
        let symbols = count("symbols", rules.symbols, 0)?;
        let letters = length
            .checked_sub(digits.saturating_add(symbols))
            .ok_or(GenerateError::NoRoom {
                length,
                digits,
                symbols,
            })?;
        let recipe = Self {
            letters: (letters, alphabet(rules.no_upper)),
            digits: (digits, DIGITS.chars().collect()),
            symbols: (symbols, symbol_characters(&rules.symbol_characters)?),
        };
        recipe.enough(rules)?;
        Ok(recipe)
    }

    /// Whether there are characters enough to choose from.
    fn enough(&self, rules: &Generate) -> Result<(), GenerateError> {
        if self.symbols.0 > 0 && self.symbols.1.is_empty() {
            return Err(GenerateError::TooFew {
                what: "symbols",
                asked: self.symbols.0,
                there: 0,
                because: " (symbolCharacters is empty)",
                way_out: "name some in symbolCharacters, or set symbols: 0",
            });
        }
        if rules.allow_repeat {
            return Ok(());
        }
        let classes = [
            (
                "letters",
                &self.letters,
                "lower length, raise digits or symbols, or set allowRepeat: true",
            ),
            ("digits", &self.digits, "lower digits, or set allowRepeat: true"),
            (
                "symbols",
                &self.symbols,
                "lower symbols, name more symbolCharacters, or set allowRepeat: true",
            ),
        ];
        for (what, (asked, pool), way_out) in classes {
            if *asked > pool.len() {
                return Err(GenerateError::TooFew {
                    what,
                    asked: *asked,
                    there: pool.len(),
                    because: " when none may repeat (allowRepeat: false)",
                    way_out,
                });
            }
        }
        Ok(())
    }
}

fn count(field: &'static str, value: i32, least: i32) -> Result<usize, GenerateError> {
    usize::try_from(value)
        .ok()
        .filter(|_| value >= least)
        .ok_or(GenerateError::OutOfRange { field, value, least })
}

fn alphabet(no_upper: bool) -> Vec<char> {
    let upper = if no_upper { "" } else { UPPER };
    LOWER.chars().chain(upper.chars()).collect()
}

/// Each symbol once: one that is named twice is no likelier for it.
fn symbol_characters(named: &str) -> Result<Vec<char>, GenerateError> {
    let mut symbols = Vec::new();
    for symbol in named.chars() {
        if !symbol.is_ascii_punctuation() || symbol == '\\' {
            return Err(GenerateError::NotASymbol(symbol));
        }
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    Ok(symbols)
}

fn pick(
    count: usize,
    pool: Vec<char>,
    allow_repeat: bool,
    into: &mut Vec<char>,
    random: &mut dyn FnMut(&mut [u8]),
) {
    let mut pool = Zeroizing::new(pool);
    for _ in 0..count {
        let index = below(pool.len(), random);
        let chosen = match allow_repeat {
            true => pool.get(index).copied(),
            false => (index < pool.len()).then(|| pool.swap_remove(index)),
        };
        into.extend(chosen);
    }
}

/// Fisher and Yates's shuffle.
fn shuffle(chars: &mut [char], random: &mut dyn FnMut(&mut [u8])) {
    for last in (1..chars.len()).rev() {
        chars.swap(last, below(last + 1, random));
    }
}

/// A number below `bound`, all equally likely: draws beyond the last full multiple of `bound` are thrown away.
fn below(bound: usize, random: &mut dyn FnMut(&mut [u8])) -> usize {
    const DRAWS: u64 = 1 << 32;
    let bound = bound.max(1) as u64;
    let fair = DRAWS - DRAWS % bound;
    let mut bytes = Zeroizing::new([0_u8; 4]);
    loop {
        random(&mut bytes[..]);
        let draw = u64::from(u32::from_le_bytes(*bytes));
        if draw < fair {
            return usize::try_from(draw % bound).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALINGO: Capabilities = Capabilities {
        name: "scalingo",
        password_min: 24,
        password_max: 64,
        password_excludes: "\"'",
        ..Capabilities::PLAIN
    };
    const IONOS: Capabilities = Capabilities {
        name: "ionos",
        password_min: 10,
        password_max: 63,
        reserved: &["postgres"],
        turns_busy: true,
        ..Capabilities::PLAIN
    };

    /// A small generator of our own, so that a failing case can be had again.
    fn seeded(mut state: u64) -> impl FnMut(&mut [u8]) {
        move |buffer| {
            for byte in buffer {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
        }
    }

    fn rules(length: i32, digits: i32, symbols: i32) -> Generate {
        Generate {
            length,
            digits,
            symbols,
            ..Generate::default()
        }
    }

    #[test]
    fn the_defaults_make_a_password_that_every_provider_takes() {
        let password = generate(&Generate::default(), &mut seeded(1)).unwrap();
        assert_eq!(password.reveal().chars().count(), 32);
        assert_eq!(check(&Generate::default(), &IONOS), None);
        assert_eq!(check_own(&password, &IONOS), None);
    }

    #[test]
    fn two_passwords_differ() {
        let mut random = seeded(7);
        let one = generate(&Generate::default(), &mut random).unwrap();
        assert_ne!(one, generate(&Generate::default(), &mut random).unwrap());
    }

    #[test]
    fn characters_that_may_not_repeat_are_counted_before_they_run_out() {
        let strict = Generate {
            allow_repeat: false,
            no_upper: true,
            ..rules(40, 6, 2)
        };
        let error = generate(&strict, &mut seeded(1)).unwrap_err().to_string();
        assert!(
            error.contains("32 letters") && error.contains("only 26") && error.contains("allowRepeat: true"),
            "{error}"
        );
        assert_eq!(check(&strict, &IONOS).unwrap().message, error);
    }

    #[test]
    fn impossible_rules_name_the_field() {
        let message = |rules: &Generate| generate(rules, &mut seeded(1)).unwrap_err().to_string();
        assert!(message(&rules(-1, 0, 0)).contains("generate.length is -1"));
        assert!(message(&rules(0, 0, 0)).contains("generate.length is 0"));
        assert!(message(&rules(10, -2, 0)).contains("generate.digits is -2"));
        assert!(message(&rules(10, 6, 5)).contains("6 digits and 5 symbols"));
        let no_symbols = Generate {
            symbol_characters: String::new(),
            ..rules(12, 2, 2)
        };
        assert!(message(&no_symbols).contains("symbolCharacters is empty"));
        for wrong in ["a", "0", " ", "\\", "ü", "\n"] {
            let rules = Generate {
                symbol_characters: wrong.to_string(),
                ..rules(12, 2, 2)
            };
            assert!(message(&rules).contains("symbolCharacters holds"), "{wrong:?}");
        }
    }

    #[test]
    fn a_length_that_the_provider_does_not_take_is_refused() {
        for (length, taken) in [(9, false), (10, true), (63, true), (64, false)] {
            let found = check(&rules(length, 2, 0), &IONOS);
            assert_eq!(found.is_none(), taken, "{length}");
        }
        let message = check(&rules(64, 2, 0), &IONOS).unwrap().message;
        assert!(
            message.contains("10 to 63") && message.contains("ionos"),
            "{message}"
        );
    }

    #[test]
    fn symbols_that_the_provider_does_not_take_are_refused_where_any_are_asked_for() {
        let with = |symbols: i32, characters: &str| {
            let rules = Generate {
                symbol_characters: characters.to_string(),
                ..rules(32, 2, symbols)
            };
            check(&rules, &SCALINGO).map(|invalid| invalid.message)
        };
        assert_eq!(with(3, "-_.~"), None);
        assert_eq!(with(0, "-'"), None);
        let message = with(3, "-'_\"").unwrap();
        for part in ["symbolCharacters", "'\\''", "scalingo", "leave it out"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn an_own_password_with_a_character_that_is_not_taken_is_refused_by_naming_that_alone() {
        let secret = "tr0ub4dor-and-3-more-words";
        assert_eq!(check_own(&Password::new(secret), &SCALINGO), None);
        for (wrong, shown) in [('"', "'\"'"), ('\'', "'\\''")] {
            let found = check_own(&Password::new(format!("{secret}{wrong}")), &SCALINGO).unwrap();
            assert!(found.message.contains(shown), "{found:?}");
            assert!(!found.message.contains("tr0ub"), "{found:?}");
        }
    }

    #[test]
    fn an_own_password_is_measured_in_characters() {
        let twelve = Password::new("ü".repeat(60));
        assert_eq!(check_own(&twelve, &IONOS), None);
        assert!(check_own(&Password::new("ü".repeat(9)), &IONOS).is_some());
        assert!(check_own(&Password::new("x".repeat(64)), &IONOS).is_some());
        assert!(check_own(&Password::new(""), &IONOS).is_some());
    }

    #[test]
    fn a_refused_own_password_is_not_shown() {
        for secret in [
            "sup3r",
            "tr0ub4dor-and\n",
            "tr0ub\x00x4dor-and-3",
            "tr0ub\t4dor-and-3",
        ] {
            let found = check_own(&Password::new(secret), &IONOS).unwrap();
            assert_eq!(found.reason, Reason::InvalidPassword);
            assert!(
                !found.message.contains("tr0ub") && !found.message.contains("sup3r"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn every_number_is_as_likely_as_any_other() {
        let mut random = seeded(3);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[below(7, &mut random)] += 1;
        }
        assert!(
            seen.iter().all(|count| (9_500..10_500).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn draws_beyond_the_last_full_multiple_are_thrown_away() {
        let mut draws = [u32::MAX, u32::MAX - 3, 8].into_iter();
        let mut random =
            |buffer: &mut [u8]| buffer.copy_from_slice(&draws.next().unwrap_or_default().to_le_bytes());
        // 2^32 is 4 above a multiple of 6, so the four largest draws would favour the small numbers.
        assert_eq!(below(6, &mut random), 2);
    }

    proptest! {
        #[test]
        fn a_password_keeps_its_rules(
            seed: u64,
            letters in 0..40_i32,
            digits in 0..20_i32,
            symbols in 0..10_i32,
            no_upper: bool,
            allow_repeat: bool,
        ) {
            prop_assume!(letters + digits + symbols > 0);
            let rules = Generate {
                symbol_characters: "-_.~!*".to_string(),
                no_upper,
                allow_repeat,
                ..rules(letters + digits + symbols, digits, symbols)
            };
            let enough = digits <= 10 && symbols <= 6 && letters <= if no_upper { 26 } else { 52 };
            let made = generate(&rules, &mut seeded(seed));
            prop_assert_eq!(made.is_ok(), allow_repeat || enough);
            let Ok(password) = made else { return Ok(()) };
            let text = password.reveal();
            let count = |is: fn(&char) -> bool| i32::try_from(text.chars().filter(is).count()).unwrap();
            prop_assert_eq!(count(char::is_ascii_alphabetic), letters);
            prop_assert_eq!(count(char::is_ascii_digit), digits);
            prop_assert_eq!(count(char::is_ascii_punctuation), symbols);
            prop_assert!(!no_upper || count(char::is_ascii_uppercase) == 0);
            prop_assert!(letters == 0 || text.starts_with(|c: char| c.is_ascii_alphabetic()));
            if !allow_repeat {
                let distinct: std::collections::BTreeSet<char> = text.chars().collect();
                prop_assert_eq!(distinct.len(), text.len());
            }
        }
    }
}
