//! Forms and queries, and the little XML that AWS's older services answer in.

/// Escapes what RFC 3986 does not leave as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Pairs as a form's body or a URL's query.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The text of the first element of that name, for answers in which each name means one thing. The values that are read
/// this way are keys, dates and messages, without elements of their own.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_escaped() {
        let pairs = [
            ("Action", "AssumeRole"),
            ("RoleArn", "arn:aws:iam::1:role/a b+ü~"),
        ];
        assert_eq!(
            encode(&pairs),
            "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b%2B%C3%BC~"
        );
    }

    #[test]
    fn elements_are_found_by_name() {
        let xml = "<R><Error><Code>AccessDenied</Code><Message>\n no \n</Message></Error><Codes>x</Codes></R>";
        assert_eq!(element(xml, "Code"), Some("AccessDenied"));
        assert_eq!(element(xml, "Message"), Some("no"));
        assert_eq!(element(xml, "Credentials"), None);
        assert_eq!(element("<Code>unfinished", "Code"), None);
    }
}
