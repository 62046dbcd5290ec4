//! Forms as URLs and bodies carry them.

/// Encodes fields, in order.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        push(&mut text, name);
        text.push('=');
        push(&mut text, value);
    }
    text
}

/// The value of a field; none where there is none. Of several, the first.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    text.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then(|| decode(value))?
    })
}

fn push(text: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(byte.into())
            }
            b' ' => text.push('+'),
            _ => {
                text.push('%');
                text.push(HEX[usize::from(byte >> 4)].into());
                text.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_trip() {
        let fields = [("code", "a b/c?&=ü%"), ("state", "")];
        let text = encode(&fields);
        assert_eq!(text, "code=a+b%2Fc%3F%26%3D%C3%BC%25&state=");
        for (name, value) in fields {
            assert_eq!(field(&text, name).as_deref(), Some(value));
        }
        assert_eq!(field("a=1&b", "b").as_deref(), Some(""));
        assert_eq!(
            (field("a=%f", "a"), field("a=%zz", "a"), field("a=1", "b")),
            (None, None, None)
        );
    }
}
