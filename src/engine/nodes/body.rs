//! The body of an answer as text: its character set, its byte order mark, and where it was cut.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Bytes at the beginning in which a page declares its character set.
const PROLOGUE: usize = 1024;

/// The text of a body. Invalid bytes become U+FFFD, and the character NUL, which PostgreSQL cannot store, is
/// left out.
pub(super) fn text(body: &[u8], content_type: &str, is_cut: bool) -> String {
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some((encoding, mark)) => (encoding, mark),
        None => (encoding_of(body, content_type, is_cut), 0),
    };
    let mut body = &body[mark..];
    if is_cut && encoding == UTF_8 {
        body = whole(body);
    }
    encoding.decode_without_bom_handling(body).0.replace('\0', "")
}

/// Whether a content type is JSON: `application/json`, `application/problem+json`, `text/json` …
pub(super) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.ends_with("/json") || kind.ends_with("+json") || kind.ends_with("/x-json")
}

fn encoding_of(body: &[u8], content_type: &str, is_cut: bool) -> &'static Encoding {
    if let Some(named) = charset(content_type).and_then(|name| Encoding::for_label(name.as_bytes())) {
        return named;
    }
    let kind = content_type.to_ascii_lowercase();
    let prologue = String::from_utf8_lossy(&body[..body.len().min(PROLOGUE)]).to_ascii_lowercase();
    if kind.contains("html") || kind.contains("xml") || prologue.trim_start().starts_with("<?xml") {
        let named = ["charset=", "encoding="].iter().find_map(|mark| {
            let behind = prologue.split_once(mark)?.1.trim_start_matches(['"', '\'']);
            Encoding::for_label(behind.split(['"', '\'', ';', '>', ' ', '/', '?']).next()?.as_bytes())
        });
        if let Some(named) = named {
            return named;
        }
    }
    let is_utf8 = std::str::from_utf8(if is_cut { whole(body) } else { body }).is_ok();
    // The default if nothing is declared, and the text is not UTF-8.
    if kind.starts_with("text/") && !is_utf8 { WINDOWS_1252 } else { UTF_8 }
}

/// The parameter `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// Without an incomplete UTF-8 character at the end.
fn whole(body: &[u8]) -> &[u8] {
    match std::str::from_utf8(body) {
        Err(error) if error.error_len().is_none() => &body[..error.valid_up_to()],
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_its_own_character_set() {
        for (body, content_type, expected) in [
            (&b"Gr\xF6\xDFe"[..], "text/plain; charset=iso-8859-1", "Größe"),
            (b"Gr\xF6\xDFe", "Text/Plain;x=1; Charset=\"ISO-8859-1\"", "Größe"),
            (b"Gr\xF6\xDFe", "text/plain", "Größe"),
            ("Größe".as_bytes(), "text/plain; charset=nonsense", "Größe"),
            ("Größe".as_bytes(), "", "Größe"),
            (b"\xEF\xBB\xBF{}", "application/json", "{}"),
            (b"\xFF\xFEh\0i\0", "text/plain; charset=utf-8", "hi"),
            (b"\xFE\xFF\0h\0i", "", "hi"),
            (b"\x83\x65\x83\x58\x83\x67", "text/plain; charset=shift_jis", "テスト"),
            (b"<html><meta charset='windows-1251'>\xCF", "text/html", "<html><meta charset='windows-1251'>П"),
            (
                b"<?xml version='1.0' encoding='latin1'?>\xE4",
                "application/xml",
                "<?xml version='1.0' encoding='latin1'?>ä",
            ),
            (b"a\0b", "", "ab"),
            (b"\x89PNG\xFF", "image/png", "\u{fffd}PNG\u{fffd}"),
        ] {
            assert_eq!(text(body, content_type, false), expected, "{content_type}");
        }
        assert_eq!(text(&"aß".as_bytes()[..2], "text/plain", true), "a");
    }

    #[test]
    fn json_goes_by_many_names() {
        for kind in ["application/json", "Application/Problem+JSON; charset=utf-8", "text/json", "application/ld+json"]
        {
            assert!(is_json(kind), "{kind}");
        }
        assert!(!is_json("text/html") && !is_json("application/jsonp"));
    }
}
