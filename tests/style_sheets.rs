//! Checks of the style sheets: colour contrast in both themes, and undefined custom properties.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// sRGB, 0 to 1.
type Colour = [f64; 3];

const SURFACES: [&str; 5] = [
    "surface",
    "surface-sunken",
    "surface-raised",
    "surface-hover",
    "surface-pressed",
];

/// At least 4.5:1 (WCAG 2.2, success criterion 1.4.3).
const TEXT_PAIRS: [(&str, &str); 24] = [
    ("accent-text", "accent"),
    ("accent-text", "accent-strong"),
    ("danger-text", "danger"),
    ("danger-text", "danger-strong"),
    ("accent-soft-text", "accent-soft"),
    ("danger-soft-text", "danger-soft"),
    ("ok-soft-text", "ok-soft"),
    ("warn-soft-text", "warn-soft"),
    ("banner-text", "banner"),
    ("banner-text", "banner-strong"),
    ("banner-label", "banner-text"),
    ("stage-text", "stage"),
    ("stage-text", "stage-raised"),
    ("stage-accent", "stage-raised"),
    ("text", "accent-soft"),
    ("text-quiet", "accent-soft"),
    ("hue-text", "hue-0"),
    ("hue-text", "hue-1"),
    ("hue-text", "hue-2"),
    ("hue-text", "hue-3"),
    ("hue-text", "hue-4"),
    ("hue-text", "hue-5"),
    ("hue-text", "hue-6"),
    ("hue-text", "hue-7"),
];

#[test]
fn text_and_shapes_stand_out_from_what_they_are_set_on() {
    let (light, dark) = palette();
    let on_surfaces = |names: &'static [&'static str]| {
        SURFACES
            .into_iter()
            .flat_map(move |surface| names.iter().map(move |name| (*name, surface)))
    };
    let text = on_surfaces(&["text", "text-quiet", "accent", "danger", "ok", "warn"])
        .chain(TEXT_PAIRS)
        .map(|pair| (pair, 4.5));
    // At least 3:1 for borders of controls, focus rings and presence dots (success criterion 1.4.11).
    let shapes = on_surfaces(&["line-strong", "focus", "here", "away"]).map(|pair| (pair, 3.0));

    let mut too_faint = Vec::new();
    for ((over, under), least) in text.chain(shapes) {
        for (theme, colours) in [("light", &light), ("dark", &dark)] {
            let found = contrast(colours[over], colours[under]);
            if found < least {
                too_faint.push(format!(
                    "{theme}: --{over} on --{under} is {found:.2}:1; at least {least}:1 is required"
                ));
            }
        }
    }
    assert!(too_faint.is_empty(), "{}", too_faint.join("\n"));
}

#[test]
fn every_variable_that_is_used_is_defined() {
    let mut used = BTreeSet::new();
    let mut defined = BTreeSet::new();
    for file in style_sheets(&style_dir()) {
        let text = fs::read_to_string(&file).unwrap();
        used.extend(
            text.split("var(--")
                .skip(1)
                .map(|rest| (variable_name(rest), file.clone())),
        );
        defined.extend(
            text.split("--")
                .skip(1)
                .filter(|rest| rest[variable_name(rest).len()..].starts_with(':'))
                .map(variable_name),
        );
    }
    let missing: Vec<_> = used
        .iter()
        .filter(|(name, _)| !defined.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(
        used.len() > 50,
        "the style sheets use more than 50 custom properties"
    );
}

#[test]
fn the_contrast_formula_is_the_standards() {
    let (black, white) = (parse_hex("#000000").unwrap(), parse_hex("#ffffff").unwrap());
    assert!((contrast(black, white) - 21.0).abs() < 1e-9);
    assert!((contrast(white, parse_hex("#767676").unwrap()) - 4.54).abs() < 0.01);
}

fn style_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("style")
}

fn style_sheets(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                style_sheets(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// At the start of a text.
fn variable_name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}

/// For light and dark: `--name: light-dark(#…, #…);` or `--name: #…;`.
fn palette() -> (BTreeMap<String, Colour>, BTreeMap<String, Colour>) {
    let text = fs::read_to_string(style_dir().join("tokens.css")).unwrap();
    let mut palette = (BTreeMap::new(), BTreeMap::new());
    for line in text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("@media"))
    {
        let Some((name, value)) = line
            .strip_prefix("--")
            .and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let value = value.split(';').next().unwrap_or_default();
        let colours: Vec<Colour> = value
            .trim_start_matches("light-dark(")
            .trim_end_matches(')')
            .split(", ")
            .filter_map(parse_hex)
            .collect();
        if let (Some(light), Some(dark)) = (colours.first(), colours.last()) {
            palette.0.insert(name.to_owned(), *light);
            palette.1.insert(name.to_owned(), *dark);
        }
    }
    palette
}

/// `#rrggbb`.
fn parse_hex(text: &str) -> Option<Colour> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let part = |at: usize| {
        u8::from_str_radix(&digits[at..at + 2], 16)
            .ok()
            .map(|part| f64::from(part) / 255.0)
    };
    Some([part(0)?, part(2)?, part(4)?])
}

/// Contrast ratio of WCAG 2.2: 1 to 21.
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Relative luminance of WCAG 2.2: 0 to 1.
fn luminance(colour: Colour) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
