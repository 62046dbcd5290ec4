//! Failures as AWS words them, besides those of every service that speaks Responses.

use dovetail_plugin_api::provider::{Failure, FailureKind};
use dovetail_plugin_api::{PlainHeader, failure};

/// Where AWS names an error, besides its body.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The credentials have ended, or are not known any more.
    Credentials,
    /// The signature's time is not the service's.
    Time,
}

impl Refused {
    /// What a response refuses, if it is that.
    pub(crate) fn of(status: u16, headers: &[PlainHeader], excerpt: &str) -> Option<Self> {
        const TIME: [&str; 4] = [
            "signature expired",
            "signature not yet current",
            "requesttimetooskewed",
            "requestexpired",
        ];
        const CREDENTIALS: [&str; 4] = [
            "expiredtoken",
            "unrecognizedclientexception",
            "invalidclienttokenid",
            "security token included in the request is expired",
        ];
        if !matches!(status, 400 | 401 | 403) {
            return None;
        }
        let named = headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(ERROR_TYPE))
            .map(|header| header.value.as_str());
        let text = named
            .chain([excerpt])
            .collect::<Vec<_>>()
            .join("\n")
            .to_ascii_lowercase();
        let says = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
        if says(&TIME) {
            Some(Self::Time)
        } else if says(&CREDENTIALS) {
            Some(Self::Credentials)
        } else {
            None
        }
    }
}

pub(crate) fn classify(status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
    let failure = failure::classify(status, headers, excerpt);
    let what = match Refused::of(status, headers, excerpt) {
        None => return failure,
        Some(Refused::Credentials) => "the AWS credentials are not accepted any more",
        Some(Refused::Time) => "this machine's clock and that of AWS differ too much",
    };
    let message = match &failure.message {
        Some(words) => format!("{what}: {words}"),
        None => what.to_owned(),
    };
    Failure {
        kind: FailureKind::Unauthorized,
        message: Some(message),
        ..failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, error_type: &str, body: &str, kind: FailureKind, message: &str) {
        let headers = [PlainHeader {
            name: ERROR_TYPE.to_owned(),
            value: error_type.to_owned(),
        }];
        let failure = classify(status, &headers, body);
        assert_eq!(
            (failure.kind, failure.message.as_deref()),
            (kind, Some(message))
        );
    }

    #[test]
    fn ended_credentials_can_be_recovered_whatever_the_status() {
        let kind = FailureKind::Unauthorized;
        check(
            403,
            "ExpiredTokenException:http://internal",
            r#"{"message":"gone"}"#,
            kind,
            "the AWS credentials are not accepted any more: gone",
        );
        check(
            400,
            "",
            r#"{"__type":"x#UnrecognizedClientException","message":"bad token"}"#,
            kind,
            "the AWS credentials are not accepted any more: bad token",
        );
        check(
            403,
            "",
            r#"{"message":"Signature expired: 20260102T030405Z is now earlier than 20260102T040405Z"}"#,
            kind,
            "this machine's clock and that of AWS differ too much: Signature expired: 20260102T030405Z is now earlier \
             than 20260102T040405Z",
        );
    }

    #[test]
    fn other_refusals_stay_what_they_are() {
        let denied = r#"{"message":"User: arn is not authorized to perform: bedrock:InvokeModel"}"#;
        let words = "User: arn is not authorized to perform: bedrock:InvokeModel";
        check(
            403,
            "AccessDeniedException",
            denied,
            FailureKind::Forbidden,
            words,
        );
        check(
            500,
            "ExpiredTokenException",
            r#"{"message":"x"}"#,
            FailureKind::ServerError,
            "x",
        );
    }
}
