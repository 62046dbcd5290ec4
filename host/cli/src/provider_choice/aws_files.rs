//! What AWS's own files name: command lines, tokens and sign-ins. Looked at for what may be granted; nobody follows a
//! profile here.

use std::collections::BTreeSet;

use dovetail_runtime::argv::ArgvPattern;
use sha1::{Digest as _, Sha1};

/// Where sign-ins are kept.
pub(super) const SIGN_INS: &str = "~/.aws/sso/cache";

/// What the lines of AWS's files lead to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Command lines that print credentials.
    pub(super) commands: BTreeSet<ArgvPattern>,
    /// Files with tokens and sign-ins.
    pub(super) files: BTreeSet<String>,
}

impl Named {
    /// Adds what the text of a file names.
    pub(super) fn read(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(name) = sign_in_name(line) {
                self.files.insert(sign_in(name));
            }
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let value = without_comment(value);
            match key.trim().to_ascii_lowercase().as_str() {
                "credential_process" => {
                    let argv = shlex::split(value).unwrap_or_default();
                    self.commands.extend(ArgvPattern::exact(&argv));
                }
                "web_identity_token_file" => {
                    self.files.insert(value.to_owned());
                }
                "sso_start_url" => {
                    self.files.insert(sign_in(value));
                }
                _ => {}
            }
        }
    }
}

/// What the line that begins a section about a sign-in calls it.
fn sign_in_name(line: &str) -> Option<&str> {
    let section = line.trim_start().strip_prefix('[')?.trim_start();
    let name = section.strip_prefix("sso-session")?.split(']').next()?;
    Some(name.trim().trim_matches(['"', '\'']))
}

/// The file of a sign-in, which AWS's tools call after the session or the address.
fn sign_in(key: &str) -> String {
    let digest = Sha1::digest(key.as_bytes());
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{SIGN_INS}/{name}.json")
}

fn without_comment(value: &str) -> &str {
    let marks = [" #", " ;", "\t#", "\t;"];
    let end = marks.iter().filter_map(|mark| value.find(mark)).min();
    value[..end.unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_section_are_looked_at() {
        let mut named = Named::default();
        named.read(
            "[profile a]\n Credential_Process = /opt/keys --name 'a b' # which\nsso_session = corp\n\
             [ sso-session \"corp\" ] # ours\nsso_start_url=https://corp.example/start\n\
             web_identity_token_file = /run/token ; mounted\ncredential_process = 'unclosed\nregion = x\n",
        );
        let keys: Vec<String> = ["/opt/keys", "--name", "a b"].map(str::to_owned).into();
        let expected = Named {
            commands: ArgvPattern::exact(&keys).into_iter().collect(),
            // Called as `sha1sum` says of the name and of the address.
            files: [
                "/run/token",
                "~/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
                "~/.aws/sso/cache/f7c9b39d0b4c7a7d82c79307585f77e1c5e74378.json",
            ]
            .map(str::to_owned)
            .into(),
        };
        assert_eq!(named, expected);
    }
}
