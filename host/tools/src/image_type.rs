//! Images by their bytes: of which type, and whether they are whole. Names are not trusted.
//!
//! Services refuse the request that has a broken image in it, so what can be told without decoding is told here. JPEG and
//! GIF files have no length to hold them to; one of those that is cut off is for the service to judge.

/// Why bytes are no image for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableImage {
    /// No service takes it.
    #[error("it is no PNG, JPEG, GIF or WebP image")]
    UnknownType,
    /// It does not even tell its size.
    #[error("it is damaged")]
    Damaged,
    /// It ends too early.
    #[error("it is damaged: its end is missing")]
    CutOff,
}

/// The media type of an image that services take.
///
/// # Errors
/// Where it is of another type, or known to be damaged.
pub fn image_type(bytes: &[u8]) -> Result<&'static str, UnusableImage> {
    let (kind, is_whole) = match bytes {
        [
            0x89,
            b'P',
            b'N',
            b'G',
            b'\r',
            b'\n',
            0x1a,
            b'\n',
            chunks @ ..,
        ] => ("image/png", is_whole_png(chunks)),
        [0xff, 0xd8, 0xff, ..] => ("image/jpeg", true),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("image/gif", true),
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => {
            ("image/webp", is_whole_riff(bytes))
        }
        _ => return Err(UnusableImage::UnknownType),
    };
    let size = imagesize::blob_size(bytes);
    if !size.is_ok_and(|size| size.width > 0 && size.height > 0) {
        return Err(UnusableImage::Damaged);
    }
    if is_whole {
        Ok(kind)
    } else {
        Err(UnusableImage::CutOff)
    }
}

/// Whether the chunks of a PNG file go on to its last one.
fn is_whole_png(mut chunks: &[u8]) -> bool {
    const CHECKSUM: usize = 4;
    while let Some((head, rest)) = chunks.split_first_chunk::<8>() {
        let [a, b, c, d, name @ ..] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(next) = rest.get(length.saturating_add(CHECKSUM)..) else {
            return false;
        };
        if name == *b"IEND" {
            return true;
        }
        chunks = next;
    }
    false
}

/// Whether a RIFF file, which WebP is, is as long as it says.
fn is_whole_riff(bytes: &[u8]) -> bool {
    const HEAD: usize = 8;
    let length = bytes.get(4..HEAD).and_then(|length| length.try_into().ok());
    length.is_some_and(|length| bytes.len() - HEAD >= u32::from_le_bytes(length) as usize)
}

/// One red point.
#[cfg(test)]
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, UnusableImage>) {
        assert_eq!(image_type(bytes), expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn images_are_told_by_their_bytes() {
        check(PNG, Ok("image/png"));
        check(b"GIF89a\x01\0\x01\0\0\0\0;", Ok("image/gif"));
        check(
            b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9",
            Ok("image/jpeg"),
        );
        check(
            b"RIFF\x16\0\0\0WEBPVP8L\x09\0\0\0\x2f\0\0\0\0\0\0\0\0\0",
            Ok("image/webp"),
        );
        for other in [
            &b"RIFF\x10\0\0\0WAVEfmt "[..],
            b"BM\0\0",
            b"<svg/>",
            b"\x89PNG",
            b"",
        ] {
            check(other, Err(UnusableImage::UnknownType));
        }
    }

    #[test]
    fn an_image_whose_end_is_missing_is_refused() {
        check(b"\xff\xd8\xff\xe0", Err(UnusableImage::Damaged));
        check(&PNG[..8], Err(UnusableImage::Damaged));
        for end in 33..PNG.len() {
            check(&PNG[..end], Err(UnusableImage::CutOff));
        }
        // Something behind the end is no damage.
        check(&[PNG, b"more"].concat(), Ok("image/png"));
        check(
            b"RIFF\xff\0\0\0WEBPVP8L\x09\0\0\0\x2f\0\0\0\0\0\0\0\0\0",
            Err(UnusableImage::CutOff),
        );
        let endless = [&PNG[..33], b"\xff\xff\xff\xffIDAT"].concat();
        check(&endless, Err(UnusableImage::CutOff));
    }
}
