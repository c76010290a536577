//! Users: roles, names and presence.

use super::{UserId, limits};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Permission level; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A name without an account.
    Guest,
    /// An account with a password.
    Member,
    Editor,
    Admin,
}

impl Role {
    /// All roles, least privileged first.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Member, Self::Editor, Self::Admin];

    /// The name in the store and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    #[must_use]
    pub fn can_publish(self) -> bool {
        self >= Self::Editor
    }

    /// Whether this role may create public rooms.
    #[must_use]
    pub fn can_create_rooms(self) -> bool {
        self >= Self::Editor
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use guest, member, editor or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// 1 to [`limits::MAX_NAME_CHARS`] characters, single spaces, no control or default-ignorable characters.
///
/// A name from the store or the wire may be older than a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserName(String);

/// Why a text is not a valid single line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SingleLineError {
    #[error("Enter at least one character.")]
    Empty,
    #[error("Use at most {max} characters; this has {actual}.")]
    TooLong { max: usize, actual: usize },
    /// Control or default-ignorable.
    #[error("Invisible and control characters are not allowed.")]
    ControlCharacter,
    /// Nothing in it leaves a mark.
    #[error("Use at least one character that can be seen.")]
    Invisible,
}

/// Whether a character leaves no mark by itself: white space, joiners, and the Braille pattern without dots.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_joiner(c) || c == '\u{2800}'
}

/// What scripts and emoji need between or after visible characters: joiners, variation selectors and tags.
#[must_use]
pub fn is_joiner(c: char) -> bool {
    matches!(
        c,
        '\u{200C}'..='\u{200D}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{180B}'..='\u{180D}'
            | '\u{180F}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Trims a line, collapses white space, drops soft hyphens and rejects control and other invisible characters.
///
/// # Errors
///
/// [`SingleLineError`] names the violated rule.
pub fn parse_single_line(text: &str, max_chars: usize) -> Result<String, SingleLineError> {
    let folded = fold_line(text);
    if folded.is_empty() {
        return Err(SingleLineError::Empty);
    }
    if folded
        .chars()
        .any(|c| c.is_control() || is_default_ignorable(c))
    {
        return Err(SingleLineError::ControlCharacter);
    }
    if folded.chars().all(is_blank) {
        return Err(SingleLineError::Invisible);
    }
    let found = folded.chars().count();
    if found > max_chars {
        return Err(SingleLineError::TooLong {
            max: max_chars,
            actual: found,
        });
    }
    Ok(folded)
}

/// The length of a line as [`parse_single_line`] counts it.
#[must_use]
pub fn count_line_chars(text: &str) -> usize {
    fold_line(text).chars().count()
}

fn fold_line(text: &str) -> String {
    let text = text.replace(SOFT_HYPHEN, "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Common in headlines copied from a page.
const SOFT_HYPHEN: char = '\u{AD}';

/// Whether a character is invisible or reorders text, so that a name could imitate another (Unicode Technical Report 36, section 2).
///
/// `Default_Ignorable_Code_Point`, which includes `Bidi_Control` (Unicode Standard Annex 44), except what scripts and emoji need: joiners,
/// variation selectors and tags.
#[must_use]
pub fn is_default_ignorable(c: char) -> bool {
    matches!(
        c,
        SOFT_HYPHEN
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180E}'
            | '\u{200B}'
            | '\u{200E}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
    )
}

impl UserName {
    /// Validates a name.
    ///
    /// # Errors
    ///
    /// [`SingleLineError`] names the violated rule.
    pub fn new(text: &str) -> Result<Self, SingleLineError> {
        parse_single_line(text, limits::MAX_NAME_CHARS).map(Self)
    }

    /// A name that was valid when picked.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What others see of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Person {
    pub id: UserId,
    pub name: UserName,
    pub role: Role,
}

/// Whose calls a person accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallsFrom {
    #[default]
    Everyone,
    /// Everyone but guests.
    Members,
    /// People to whom the person has written, or whose call they have answered.
    Contacts,
    Nobody,
}

impl CallsFrom {
    /// All values, the most open first.
    pub const ALL: [Self; 4] = [Self::Everyone, Self::Members, Self::Contacts, Self::Nobody];

    /// The name in the store and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Members => "members",
            Self::Contacts => "contacts",
            Self::Nobody => "nobody",
        }
    }

    /// Whether a caller of this role may ring.
    #[must_use]
    pub fn accepts(self, caller: Role, is_contact: bool) -> bool {
        match self {
            Self::Everyone => true,
            Self::Members => caller >= Role::Member,
            Self::Contacts => is_contact,
            Self::Nobody => false,
        }
    }
}

/// The text names no value of [`CallsFrom`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Choose everyone, members, contacts or nobody.")]
pub struct UnknownCallsFrom;

impl FromStr for CallsFrom {
    type Err = UnknownCallsFrom;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|value| value.as_str() == text)
            .ok_or(UnknownCallsFrom)
    }
}

/// What a person has chosen about others. Only their own pages know it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PersonalSettings {
    #[serde(default)]
    pub calls_from: CallsFrom,
    /// Whether their calls use only the relay, which hides their IP address from the others in a call.
    #[serde(default)]
    pub relay_only: bool,
    /// At most [`limits::MAX_BLOCKED_PEOPLE`], in order of their ids.
    #[serde(default)]
    pub blocked: Vec<UserId>,
}

impl PersonalSettings {
    /// Whether the person has blocked a user.
    #[must_use]
    pub fn has_blocked(&self, user: UserId) -> bool {
        self.blocked.binary_search(&user).is_ok()
    }
}

/// Whether a user has a page open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// At least one page is visible.
    #[serde(rename = "here")]
    Online,
    /// All open pages are hidden.
    Away,
    #[serde(rename = "gone")]
    Offline,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_contain_the_ones_below() {
        assert!(Role::Admin.can_publish() && Role::Editor.can_publish());
        assert!(!Role::Member.can_publish() && !Role::Guest.can_create_rooms());
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn a_person_chooses_whose_calls_ring() {
        for (from, guest, member, contact) in [
            (CallsFrom::Everyone, true, true, true),
            (CallsFrom::Members, false, true, false),
            (CallsFrom::Contacts, false, false, true),
            (CallsFrom::Nobody, false, false, false),
        ] {
            assert_eq!(from.accepts(Role::Guest, false), guest, "{from:?}");
            assert_eq!(from.accepts(Role::Admin, false), member, "{from:?}");
            assert_eq!(from.accepts(Role::Guest, true), contact, "{from:?}");
            assert_eq!(from.as_str().parse(), Ok(from));
        }
        assert_eq!("friends".parse::<CallsFrom>(), Err(UnknownCallsFrom));
    }

    #[test]
    fn names_are_trimmed_and_folded() {
        assert_eq!(
            UserName::new("  Ada \t Lovelace ").unwrap().as_str(),
            "Ada Lovelace"
        );
        assert_eq!(UserName::new("Zu\u{AD}cker").unwrap().as_str(), "Zucker");
        assert_eq!(UserName::new("李小龍").unwrap().as_str(), "李小龍");
        for joined in ["👩‍🚀", "❤️", "می‌خواهم"] {
            assert_eq!(UserName::new(joined).unwrap().as_str(), joined);
        }
    }

    #[test]
    fn a_name_can_be_seen() {
        for invisible in [
            "\u{200D}",
            "\u{FE0F}",
            "\u{2800}",
            "\u{2800} \u{200C}",
            "\u{E0041}",
        ] {
            assert_eq!(
                UserName::new(invisible),
                Err(SingleLineError::Invisible),
                "{invisible:?}"
            );
        }
        for visible in [".", "é", "\u{301}", "🧑", "李"] {
            assert!(UserName::new(visible).is_ok(), "{visible:?}");
        }
    }

    #[test]
    fn a_stored_name_may_be_older_than_a_rule() {
        let stored = UserName::from_stored("Zu\u{AD}cker".to_owned());
        let sent = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<UserName>(&sent).unwrap(), stored);
    }

    #[test]
    fn names_that_could_deceive_are_refused() {
        assert_eq!(UserName::new("   "), Err(SingleLineError::Empty));
        for deceptive in [
            '\u{7}', '\u{61C}', '\u{180E}', '\u{200B}', '\u{200F}', '\u{202E}', '\u{2060}',
            '\u{2064}', '\u{2069}', '\u{3164}', '\u{FEFF}',
        ] {
            assert_eq!(
                UserName::new(&format!("a{deceptive}b")),
                Err(SingleLineError::ControlCharacter),
                "{deceptive:?}"
            );
        }
        let long = "é".repeat(limits::MAX_NAME_CHARS + 1);
        assert_eq!(
            UserName::new(&long),
            Err(SingleLineError::TooLong {
                max: 40,
                actual: 41
            })
        );
    }
}
