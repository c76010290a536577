//! Targets of [`crate::fuzzing`].

use super::file_inspection::{detect_image, sanitize_name};
use crate::model::limits;
use std::io::Cursor;

/// Uploaded files: a name is a visible segment of a path, and an image has a size that a browser can show.
///
/// # Panics
/// If one is not.
pub fn files(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let name = sanitize_name(text);
        let count = name.chars().count();
        assert!(
            (1..=limits::MAX_FILE_NAME_CHARS).contains(&count),
            "{name:?}"
        );
        assert!(
            !name.starts_with('.') && !name.contains(|c: char| c.is_control() || "/\\".contains(c)),
            "{name:?}"
        );
        assert_eq!(sanitize_name(&name), name, "of {text:?}");
    }
    if let Some((media_type, Some(size))) = detect_image(Cursor::new(data)) {
        assert!(media_type.starts_with("image/"));
        assert!(size.width > 0 && size.height > 0 && size.pixels() <= limits::MAX_SHOWN_PIXELS);
    }
}

/// Names, and heads of images of each kind.
pub(crate) fn examples() -> Vec<Vec<u8>> {
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let exif = [b"\xff\xe1\0\x22Exif\0\0".as_slice(), tiff].concat();
    let frame = b"\xff\xc0\0\x0b\x08\0\x03\0\x04\x01\x01\x11\0\xff\xd9";
    vec![
        b"../../photo\xe2\x80\xaegpj.exe".to_vec(),
        [b"a".as_slice(), &b". ".repeat(110), b".pdf"].concat(),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0".to_vec(),
        [b"\xff\xd8".as_slice(), &exif, frame].concat(),
        b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff;".to_vec(),
        b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0\x9d\x01\x2a\x03\0\x02\0\x02\x004%\xa4"
            .to_vec(),
        b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x02\x40\0\0\0\0\0\0".to_vec(),
        b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x02\0\0\x01\0\0".to_vec(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_images_of_every_kind() {
        let found = examples()
            .into_iter()
            .filter_map(|file| detect_image(Cursor::new(file)));
        let kinds: Vec<_> = found.map(|(media_type, _)| media_type).collect();
        let webp = "image/webp";
        assert_eq!(
            kinds,
            ["image/png", "image/jpeg", "image/gif", webp, webp, webp]
        );
    }
}
