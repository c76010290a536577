//! A received file's hash, type, and safe name.

use crate::model::{limits, message::ImageSize, user::is_default_ignorable};
use imagesize::ImageType;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
};

pub(super) struct InspectedFile {
    /// SHA-256, in hexadecimal.
    pub(super) hash: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) media_type: &'static str,
    pub(super) image: Option<ImageSize>,
}

/// Reads and rewinds the file.
pub(super) fn inspect(mut file: &File) -> io::Result<InspectedFile> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    file.rewind()?;
    let (media_type, image) =
        detect_image(BufReader::new(file)).unwrap_or(("application/octet-stream", None));
    Ok(InspectedFile {
        hash: hex::encode(hasher.finalize()),
        size,
        media_type,
        image,
    })
}

/// SVG is excluded: it can contain scripts.
pub(super) fn detect_image(
    mut file: impl BufRead + Seek,
) -> Option<(&'static str, Option<ImageSize>)> {
    let media_type = match imagesize::reader_type(&mut file).ok()? {
        ImageType::Png => "image/png",
        ImageType::Jpeg => "image/jpeg",
        ImageType::Gif => "image/gif",
        ImageType::Webp => "image/webp",
        _ => return None,
    };
    file.rewind().ok()?;
    let size = imagesize::reader_size(&mut file).ok()?;
    let (mut width, mut height) = (
        u32::try_from(size.width).ok()?,
        u32::try_from(size.height).ok()?,
    );
    if is_shown_on_its_side(file) {
        std::mem::swap(&mut width, &mut height);
    }
    let size = ImageSize { width, height };
    let is_shown = width > 0 && height > 0 && size.pixels() <= limits::MAX_SHOWN_PIXELS;
    is_shown.then_some((media_type, Some(size)))
}

/// Whether the camera was held upright, and a browser turns the picture by a quarter (Exif 2.32, tag `Orientation`, 5 to 8).
fn is_shown_on_its_side(mut file: impl BufRead + Seek) -> bool {
    let orientation = file.rewind().ok().and_then(|()| {
        let exif = exif::Reader::new().read_from_container(&mut file).ok()?;
        let field = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?;
        field.value.get_uint(0)
    });
    orientation.is_some_and(|orientation| (5..=8).contains(&orientation))
}

/// The last path segment, at most [`limits::MAX_FILE_NAME_CHARS`] long, without leading dots and control or default-ignorable characters;
/// "file" if nothing is left.
pub(super) fn sanitize_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|&c| !c.is_control() && !is_default_ignorable(c))
        .collect();
    let clean = clean.trim_end();
    // The end is kept, and with it the extension.
    let excess = clean
        .chars()
        .count()
        .saturating_sub(limits::MAX_FILE_NAME_CHARS);
    let start = clean
        .char_indices()
        .nth(excess)
        .map_or(0, |(start, _)| start);
    let kept = clean[start..].trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    if kept.is_empty() { "file" } else { kept }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_folder_or_deceive() {
        assert_eq!(sanitize_name("../../etc/passwd"), "passwd");
        assert_eq!(sanitize_name("C:\\secret\\a b.txt"), "a b.txt");
        assert_eq!(sanitize_name("photo\u{202E}gpj.exe"), "photogpj.exe");
        assert_eq!(
            sanitize_name("a\u{2060}\u{2064}\u{FEFF}\u{61C}\u{AD}.txt"),
            "a.txt"
        );
        assert_eq!(sanitize_name("👩‍🚀.png"), "👩‍🚀.png");
        assert_eq!(sanitize_name("a\r\nb\"c.txt"), "ab\"c.txt");
        assert_eq!(sanitize_name("..."), "file");
        assert_eq!(sanitize_name(" . .hidden "), "hidden");
        let long = format!("a{}.pdf", ". ".repeat(110));
        assert_eq!(sanitize_name(&long), "pdf", "also where it is cut");
        assert_eq!(
            sanitize_name(&format!("{}.pdf", "x".repeat(300)))
                .chars()
                .count(),
            limits::MAX_FILE_NAME_CHARS
        );
    }

    #[test]
    fn what_is_no_image_is_not_shown_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(
            &path,
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        )
        .unwrap();
        let found = inspect(&File::open(&path).unwrap()).unwrap();
        assert_eq!(
            (found.media_type, found.image),
            ("application/octet-stream", None)
        );
        assert_eq!(found.hash.len(), 64);
    }

    /// Of the signature and the IHDR chunk of a PNG.
    fn inspect_png(width: u32, height: u32) -> InspectedFile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let head = [
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(),
            &size,
            b"\x08\x02\0\0\0",
        ];
        std::fs::write(&path, head.concat()).unwrap();
        inspect(&File::open(&path).unwrap()).unwrap()
    }

    #[test]
    fn an_image_has_its_size_before_it_is_loaded() {
        let found = inspect_png(3, 2);
        let size = ImageSize {
            width: 3,
            height: 2,
        };
        assert_eq!((found.media_type, found.image), ("image/png", Some(size)));
    }

    /// A JPEG of 4 by 3 pixels as far as the server reads: Exif with its orientation, and the frame's header.
    fn inspect_photo(orientation: u8) -> InspectedFile {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        tiff.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let exif = [b"Exif\0\0".as_slice(), &tiff].concat();
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let frame = b"\xff\xc0\0\x0b\x08\0\x03\0\x04\x01\x01\x11\0\xff\xd9";
        let photo = [b"\xff\xd8\xff\xe1".as_slice(), &length, &exif, frame];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.jpg");
        std::fs::write(&path, photo.concat()).unwrap();
        inspect(&File::open(&path).unwrap()).unwrap()
    }

    #[test]
    fn a_photo_has_the_size_at_which_it_is_shown() {
        for (orientation, width, height) in [
            (1, 4, 3),
            (3, 4, 3),
            (5, 3, 4),
            (6, 3, 4),
            (8, 3, 4),
            (9, 4, 3),
        ] {
            let found = inspect_photo(orientation);
            assert_eq!(found.media_type, "image/jpeg");
            assert_eq!(
                found.image,
                Some(ImageSize { width, height }),
                "{orientation}"
            );
        }
    }

    #[test]
    fn an_image_that_takes_too_much_memory_is_a_download() {
        assert!(inspect_png(8_000, 5_000).image.is_some(), "40 megapixels");
        for (width, height) in [(8_000, 5_001), (60_000, 60_000), (u32::MAX, u32::MAX)] {
            let found = inspect_png(width, height);
            assert_eq!(
                (found.media_type, found.image),
                ("application/octet-stream", None)
            );
        }
    }
}
