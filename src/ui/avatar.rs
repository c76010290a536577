//! Avatars: a person's initials on a colour, optionally with their presence.

use super::presence::PresenceDot;
use crate::model::{
    UserId,
    user::{Person, Presence},
};
use leptos::prelude::*;

/// Size of an avatar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AvatarSize {
    /// One line of text high.
    Small,
    /// Two lines of text high.
    #[default]
    Normal,
    /// For the subject of a page or a call.
    Large,
}

impl AvatarSize {
    fn class(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Normal => "",
            Self::Large => "large",
        }
    }
}

/// A person's avatar. The name stands beside it: only the presence is announced.
#[component]
pub fn Avatar(
    person: Person,
    #[prop(optional)] size: AvatarSize,
    #[prop(optional, into)] presence: Option<Signal<Presence>>,
) -> impl IntoView {
    let class = ["avatar", hue_class(person.id), size.class()].join(" ");
    view! {
        <span class=class.trim_end().to_owned()>
            <span aria-hidden="true">{initials(person.name.as_str())}</span>
            {presence.map(|presence| view! { <PresenceDot presence /> })}
        </span>
    }
}

/// A colour in `style/components/people.css`. The last byte of a UUID is random in every version in use.
fn hue_class(id: UserId) -> &'static str {
    const HUES: [&str; 8] = [
        "hue-0", "hue-1", "hue-2", "hue-3", "hue-4", "hue-5", "hue-6", "hue-7",
    ];
    let [.., last] = *id.0.as_bytes();
    HUES[usize::from(last) % HUES.len()]
}

/// The first letter or digit of the first and the last word; without any, the first symbol.
fn initials(name: &str) -> String {
    let leads: Vec<char> = name
        .split_whitespace()
        .filter_map(|word| word.chars().find(|c| c.is_alphanumeric()))
        .collect();
    match leads.as_slice() {
        [] => first_symbol(name),
        [only] => upper(*only).into(),
        [first, .., last] => [upper(*first), upper(*last)].into_iter().collect(),
    }
}

/// The upper case of `ß` would be two characters.
fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// With its variation selector, skin tone or joined characters.
fn first_symbol(name: &str) -> String {
    let mut symbol = String::new();
    let mut joined = true;
    for c in name.chars() {
        let ties_back = matches!(
            c,
            '\u{FE0E}' | '\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{200D}'
        );
        if !joined && !ties_back {
            break;
        }
        symbol.push(c);
        joined = c == '\u{200D}';
    }
    symbol
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn initials_come_from_the_first_and_the_last_word() {
        assert_eq!(initials("Ada King Lovelace"), "AL");
        assert_eq!(initials("ada"), "A");
        assert_eq!(initials("(Bob) o'Neill"), "BO");
        assert_eq!(initials("agent 47"), "A4");
        assert_eq!(initials("élodie šimić"), "ÉŠ");
        assert_eq!(initials("李 小龍"), "李小");
        assert_eq!(initials("ßeta"), "ß");
    }

    #[test]
    fn a_name_without_letters_shows_its_first_symbol_whole() {
        assert_eq!(initials("👩‍🚀 🌙"), "👩‍🚀");
        assert_eq!(initials("👍🏽!"), "👍🏽");
        assert_eq!(initials("☕\u{FE0F}☕"), "☕\u{FE0F}");
        assert_eq!(initials("🙂🙂"), "🙂");
        assert_eq!(initials("?!"), "?");
    }

    #[test]
    fn the_colour_is_the_persons_own() {
        assert_eq!(hue_class(UserId(Uuid::from_u128(3))), "hue-3");
        assert_eq!(
            hue_class(UserId(Uuid::from_u128(3))),
            hue_class(UserId(Uuid::from_u128(11)))
        );
        assert_eq!(hue_class(UserId(Uuid::max())), "hue-7");
    }
}
