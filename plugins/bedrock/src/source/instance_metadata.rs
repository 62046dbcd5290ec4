//! The metadata service of an EC2 instance.

use std::time::Duration;

use dovetail_plugin_api::{Error, Header};

use crate::credentials::{Credentials, Document};
use crate::outside::{Ask, Outside};
use crate::trouble::Trouble;

const USUAL: &str = "http://169.254.169.254";
const USUAL_V6: &str = "http://[fd00:ec2::254]";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const REGION: &str = "/latest/meta-data/placement/region";
/// It answers within milliseconds, or nobody is there.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Asked while a session starts, which must not be felt where nobody answers.
const REGION_TIMEOUT: Duration = Duration::from_millis(500);
const TOKEN_LIFE_S: &str = "21600";

/// The credentials of the instance's role; none where there is no such service or no role.
pub(crate) fn find(outside: &impl Outside) -> Result<Option<Credentials>, Trouble> {
    let Some(service) = Metadata::reach(outside, TIMEOUT)? else {
        return Ok(None);
    };
    let Some(roles) = service.get(ROLES)? else {
        return Ok(None);
    };
    let Some(role) = roles.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let path = format!("{ROLES}{role}");
    let what = "the instance's metadata";
    let document = service.get(&path)?.ok_or_else(|| {
        Trouble::passing(format!(
            "{what} names a role `{role}` that it does not know"
        ))
    })?;
    Document::read(what, document.as_bytes()).map(Some)
}

/// The instance's region. Not knowing it is no error yet.
pub(crate) fn region(outside: &impl Outside) -> Option<String> {
    let service = Metadata::reach(outside, REGION_TIMEOUT).ok()??;
    let region = service.get(REGION).ok()??.trim().to_owned();
    (!region.is_empty()).then_some(region)
}

/// Whether the user lets the service be asked.
pub(crate) fn may_be_asked(outside: &impl Outside) -> bool {
    !is_true(outside, "AWS_EC2_METADATA_DISABLED")
}

fn is_true(outside: &impl Outside, name: &str) -> bool {
    let value = outside.variable(name);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The service, with the token that it gave.
struct Metadata<'o, O> {
    outside: &'o O,
    base: String,
    token: Option<String>,
    timeout: Duration,
}

impl<'o, O: Outside> Metadata<'o, O> {
    /// Gets a token; none where nobody answers.
    fn reach(outside: &'o O, timeout: Duration) -> Result<Option<Self>, Trouble> {
        if !may_be_asked(outside) {
            return Ok(None);
        }
        let mode = outside.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
        let usual = match mode {
            Some(mode) if mode.eq_ignore_ascii_case("ipv6") => USUAL_V6,
            Some(_) | None => USUAL,
        };
        let base = outside
            .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .unwrap_or_else(|| usual.to_owned());
        let mut service = Self {
            outside,
            base: base.trim_end_matches('/').to_owned(),
            token: None,
            timeout,
        };
        let ask = Ask {
            method: "PUT",
            timeout,
            ..Ask::get(format!("{}/latest/api/token", service.base))
        };
        let life = Header::plain("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE_S);
        let response = match outside.send(ask.header(life)) {
            Ok(response) => response,
            Err(Error::Retryable { .. }) => return Ok(None),
            Err(error) => return Err(Trouble::from(error).while_doing("the instance's metadata")),
        };
        match response.status {
            200 => service.token = Some(response.text()?.trim().to_owned()),
            // The first version of the service has no tokens.
            403..=405 if !is_true(outside, "AWS_EC2_METADATA_V1_DISABLED") => {}
            _ => return Ok(None),
        }
        Ok(Some(service))
    }

    /// What is at a path; none where there is nothing.
    fn get(&self, path: &str) -> Result<Option<String>, Trouble> {
        let mut ask = Ask {
            timeout: self.timeout,
            ..Ask::get(format!("{}{path}", self.base))
        };
        if let Some(token) = &self.token {
            ask = ask.header(Header::plain("x-aws-ec2-metadata-token", token).sensitive());
        }
        let response = self.outside.send(ask)?;
        match response.status {
            200 => Ok(Some(response.text()?)),
            404 => Ok(None),
            status => Err(Trouble::passing(format!(
                "the instance's metadata service answered with status {status}"
            ))),
        }
    }
}
