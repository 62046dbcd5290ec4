//! Removes credentials from what a server says: services repeat a refused key in their errors.

use dovetail_core::secret::SecretText;
use reqwest::header::{HeaderMap, HeaderValue};

/// Shorter words, such as `Bearer`, would take half a sentence with them.
const SHORTEST_SECRET: usize = 8;

/// The secrets of one request.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    values: Vec<SecretText>,
}

impl Redactor {
    /// Remembers a header's value.
    pub(crate) fn hide(&mut self, value: SecretText) {
        self.values.push(value);
    }

    /// A text without the secrets, and without what would steer a terminal.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut clean: String = text
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        for value in &self.values {
            for word in value
                .expose()
                .split_whitespace()
                .filter(|word| word.len() >= SHORTEST_SECRET)
            {
                if clean.contains(word) {
                    clean = clean.replace(word, "…");
                }
            }
        }
        clean
    }

    /// Headers without the secrets.
    pub(crate) fn clean_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let cleaned = headers.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let clean = self.clean(&text);
            let value = match clean == text {
                true => value.clone(),
                false => HeaderValue::from_bytes(clean.as_bytes())
                    .unwrap_or_else(|_| HeaderValue::from_static("")),
            };
            (name.clone(), value)
        });
        // Repeated headers stay repeated.
        let mut all = HeaderMap::new();
        for (name, value) in cleaned {
            all.append(name, value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_escapes_are_removed() {
        let mut redactor = Redactor::default();
        redactor.hide(SecretText::new("Bearer sk-very-secret".to_owned()));
        assert_eq!(
            redactor.clean("Bearer sk-very-secret is wrong\x1b[31m\r\n(sk-very-secret)"),
            "Bearer … is wrong[31m\n(…)"
        );
        let mut headers = HeaderMap::new();
        headers.append("cf-ray", HeaderValue::from_static("x sk-very-secret"));
        headers.append("cf-ray", HeaderValue::from_static("y"));
        let clean: Vec<String> = redactor
            .clean_headers(&headers)
            .get_all("cf-ray")
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        assert_eq!(clean, ["x …", "y"]);
    }
}
