//! What names look like (Unicode Technical Standard 39, section 4, "Confusable Detection").

use crate::model::user::{UserName, is_default_ignorable, is_joiner};
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

/// Two names with one of these in common look alike: as they are ("Al", "AI"), or in lower case ("Ada" and "АDA" with a Cyrillic letter).
#[must_use]
pub fn skeletons(name: &UserName) -> [String; 2] {
    let visible = |c: &char| !is_default_ignorable(*c) && !is_joiner(*c);
    let normal: String = name.as_str().nfkc().filter(visible).collect();
    let lower: String = normal.to_lowercase();
    let as_it_is: String = skeleton(&normal).collect();
    let in_lower_case: String = skeleton(&lower).collect();
    [format!("={as_it_is}"), format!("~{in_lower_case}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_alike(one: &str, other: &str) -> bool {
        let [one, other] =
            [one, other].map(|name| skeletons(&UserName::from_stored(name.to_owned())));
        one.iter().any(|skeleton| other.contains(skeleton))
    }

    #[test]
    fn names_that_look_alike_share_a_skeleton() {
        for other in [
            "Ada\u{200D}",
            "Ada\u{FE0F}",
            "\u{410}da",
            "Ad\u{430}",
            "\u{410}DA",
            "\u{FF21}da",
            "\u{1D400}da",
            "ADA",
        ] {
            assert!(look_alike("Ada", other), "{other:?}");
        }
        assert!(look_alike("Ad\u{E1}", "Ada\u{301}"), "composed or not");
        assert!(look_alike("Al", "AI") && look_alike("modern", "modem"));
    }

    #[test]
    fn different_names_share_none() {
        for (one, other) in [
            ("Ada", "Ad\u{E1}"),
            ("Ada", "Adam"),
            ("Ian", "Lan"),
            ("Zo\u{EB}", "Zoe"),
            ("\u{674E}\u{5C0F}\u{9F8D}", "\u{674E}\u{5927}\u{9F8D}"),
            ("\u{1F9D1}", "\u{1F469}"),
        ] {
            assert!(!look_alike(one, other), "{one:?} {other:?}");
        }
    }
}
