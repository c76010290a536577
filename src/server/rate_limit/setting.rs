//! `--limits`: other amounts than the defaults.

use super::{
    bound::{Amount, Bound},
    token_buckets::Rate,
};
use std::{str::FromStr, time::Duration};

/// Configured amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(Bound, Amount)>);

impl Overrides {
    /// How much a bound allows.
    #[must_use]
    pub fn amount(&self, bound: Bound) -> Amount {
        let set = self.0.iter().rev().find(|(set, _)| *set == bound);
        set.map_or(bound.spec().default, |(_, amount)| *amount)
    }

    /// Sets an amount, unless it is configured.
    pub fn set_default(&mut self, bound: Bound, amount: Amount) {
        if !self.0.iter().any(|(set, _)| *set == bound) {
            self.0.push((bound, amount));
        }
    }

    /// How much a bound over time allows.
    #[must_use]
    pub fn rate(&self, bound: Bound) -> Rate {
        match self.amount(bound) {
            Amount::Rate(rate) => rate,
            Amount::AtOnce(_) => unreachable!("{bound:?} counts places"),
        }
    }

    /// How many places a bound has.
    #[must_use]
    pub fn places(&self, bound: Bound) -> u32 {
        match self.amount(bound) {
            Amount::AtOnce(most) => most,
            Amount::Rate(_) => unreachable!("{bound:?} counts over time"),
        }
    }
}

/// Comma-separated `NAME=NUMBER` or, for a rate, `NAME=NUMBER/INTERVAL`. The error is for the operator.
impl FromStr for Overrides {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let words = list.split(',').map(str::trim);
        words
            .filter(|word| !word.is_empty())
            .map(parse_bound)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_bound(word: &str) -> Result<(Bound, Amount), String> {
    let wrong = || {
        format!(
            "\"{word}\" is not a limit. Use the form messages=200/20ms (200 at once, then one every 20 ms) or streams=4096"
        )
    };
    let (name, amount) = word.split_once('=').ok_or_else(wrong)?;
    let bound = Bound::ALL
        .iter()
        .copied()
        .find(|bound| bound.spec().name == name.trim())
        .ok_or_else(|| {
            let names: Vec<&str> = Bound::ALL.iter().map(|bound| bound.spec().name).collect();
            format!(
                "there is no limit \"{name}\". The limits are: {}",
                names.join(", ")
            )
        })?;
    let (number, interval) = match amount.split_once('/') {
        Some((number, interval)) => (number, Some(interval)),
        None => (amount, None),
    };
    let number: u32 = number.trim().parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(format!("\"{word}\" would allow nothing. Use at least 1"));
    }
    let amount = match (bound.spec().default, interval) {
        (Amount::AtOnce(_), None) => Amount::AtOnce(number),
        (Amount::AtOnce(_), Some(_)) => {
            return Err(format!(
                "\"{word}\" has an interval, but counts how many there are at a time. Use {name}={number}"
            ));
        }
        (Amount::Rate(rate), interval) => {
            let refill = interval.map_or(Some(rate.refill), parse_interval);
            Amount::Rate(Rate {
                burst: number,
                refill: refill.ok_or_else(wrong)?,
            })
        }
    };
    Ok((bound, amount))
}

/// A whole number of `ms`, `s`, `m` or `h`, at most a day: `20ms`.
fn parse_interval(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(unit)?;
    let interval = Duration::from_millis(millis);
    (interval <= Duration::from_hours(24)).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(burst: u32, millis: u64) -> Amount {
        Amount::Rate(Rate {
            burst,
            refill: Duration::from_millis(millis),
        })
    }

    #[test]
    fn what_is_set_replaces_the_default() {
        let set: Overrides = "messages=5, sign-ins=3/1m,streams=7".parse().unwrap();
        assert_eq!(set.amount(Bound::Messages), rate(5, 20));
        assert_eq!(set.amount(Bound::SignIns), rate(3, 60_000));
        assert_eq!(set.amount(Bound::Streams), Amount::AtOnce(7));
        assert_eq!(set.amount(Bound::Renames), Bound::Renames.spec().default);
        assert_eq!("".parse(), Ok(Overrides::default()));
    }

    #[test]
    fn what_is_no_limit_is_refused_in_words() {
        for (text, words) in [
            ("messages", "200 at once, then one every 20 ms"),
            ("messages=many", "200 at once"),
            ("messages=5/20", "200 at once"),
            ("messages=5/48h", "200 at once"),
            ("messages=0", "would allow nothing"),
            ("posts=5", "The limits are: requests, "),
            ("streams=5/1s", "Use streams=5"),
        ] {
            let why = text.parse::<Overrides>().unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
