//! URL slugs from titles.

const MAX_SLUG_CHARS: usize = 80;

/// Slug of at most 80 lower-case ASCII letters, digits and single hyphens; other scripts are transliterated. `fallback`
/// if nothing is left.
#[must_use]
pub fn slugify(title: &str, fallback: &str) -> String {
    let mut slug = String::new();
    for c in any_ascii::any_ascii(title).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && c != '\'' {
            slug.push('-');
        }
        if slug.len() == MAX_SLUG_CHARS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        fallback.to_owned()
    } else {
        slug.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::slugify;

    #[test]
    fn a_slug_reads_like_its_title() {
        assert_eq!(
            slugify("  What's new, on the  Rialto? ", "story"),
            "whats-new-on-the-rialto"
        );
        assert_eq!(
            slugify("Ærøskøbing – 東京", "story"),
            "aeroskobing-dongjing"
        );
        assert_eq!(slugify("!?…", "story"), "story");
        assert_eq!(slugify(&"ab ".repeat(100), "story").len(), 80);
    }
}
