//! People: their roles, their names, and what others see of them.

use super::{UserId, limits};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What somebody may do. Each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Picked a name and nothing more.
    Guest,
    /// Has an account with a password.
    Member,
    /// May publish stories and make rooms.
    Editor,
    /// May do everything.
    Admin,
}

impl Role {
    /// All roles, from the least to the most allowed.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Member, Self::Editor, Self::Admin];

    /// The word that the store and the wire use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may publish stories.
    #[must_use]
    pub fn can_publish(self) -> bool {
        self >= Self::Editor
    }

    /// Whether this role may make public rooms.
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

/// A role's word that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role is guest, member, editor or admin")]
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

/// A name that may be shown: trimmed, inner white space folded to single spaces, 1 to
/// [`limits::NAME_CHARS`] characters, none of them a control or a bidirectional override.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SingleLineError {
    /// Nothing is left after trimming.
    #[error("Please write something.")]
    Empty,
    /// More characters than allowed.
    #[error("{max} characters at most; this has {actual}.")]
    TooLong {
        /// How many characters are allowed.
        max: usize,
        /// How many there are.
        actual: usize,
    },
    /// A control character or one that changes the direction of the text around it.
    #[error("Invisible and control characters are not allowed.")]
    ControlCharacter,
}

/// Trims, folds white space and refuses what could deceive or break a line: the rule that names of people and of
/// rooms share.
///
/// # Errors
/// [`NameError`] says which rule the text breaks.
pub fn parse_single_line(text: &str, max_chars: usize) -> Result<String, SingleLineError> {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded.is_empty() {
        return Err(SingleLineError::Empty);
    }
    if folded
        .chars()
        .any(|c| c.is_control() || is_invisible_or_directional(c))
    {
        return Err(SingleLineError::ControlCharacter);
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

/// Characters with which one name can be made to look like another, or to reorder what stands beside it
/// (Unicode Technical Report 36, section 2). Joiners stay allowed: several scripts and emoji need them.
fn is_invisible_or_directional(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

impl UserName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, SingleLineError> {
        parse_single_line(text, limits::MAX_NAME_CHARS).map(Self)
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = SingleLineError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
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
    /// Who.
    pub id: UserId,
    /// The name they are shown by.
    pub name: UserName,
    /// What they may do.
    pub role: Role,
}

/// Whether somebody is at a page right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// A page of theirs is open and visible.
    #[serde(rename = "here")]
    Online,
    /// Pages are open, all of them hidden.
    Away,
    /// No page is open.
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
    fn names_are_trimmed_and_folded() {
        assert_eq!(
            UserName::new("  Ada \t Lovelace ").unwrap().as_str(),
            "Ada Lovelace"
        );
        assert_eq!(UserName::new("李小龍").unwrap().as_str(), "李小龍");
        assert_eq!(UserName::new("👩‍🚀").unwrap().as_str(), "👩‍🚀");
    }

    #[test]
    fn names_that_could_deceive_are_refused() {
        assert_eq!(UserName::new("   "), Err(SingleLineError::Empty));
        assert_eq!(
            UserName::new("a\u{202E}b"),
            Err(SingleLineError::ControlCharacter)
        );
        assert_eq!(
            UserName::new("a\u{200B}b"),
            Err(SingleLineError::ControlCharacter)
        );
        assert_eq!(
            UserName::new("a\u{7}b"),
            Err(SingleLineError::ControlCharacter)
        );
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
