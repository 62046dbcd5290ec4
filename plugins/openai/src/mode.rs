//! The kinds of login there are, and what follows from each.

/// How somebody signed in: the word `auth_mode` in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A key of the API.
    ApiKey,
    /// Tokens that are refreshed here.
    Chatgpt,
    /// Tokens that the connected application refreshes.
    ChatgptAuthTokens,
    /// Headers that another program supplies. Never stored.
    Headers,
    /// A key pair with which each request is signed.
    AgentIdentity,
    /// A long-lived token of a person.
    PersonalAccessToken,
    /// A key of Amazon Bedrock.
    BedrockApiKey,
    /// Access keys of Amazon Bedrock.
    BedrockAccessKeys,
}

/// What `forced_login_method` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// A key.
    Api,
    /// An account.
    Chatgpt,
}

impl Mode {
    const ALL: [(Self, &str); 8] = [
        (Self::ApiKey, "apikey"),
        (Self::Chatgpt, "chatgpt"),
        (Self::ChatgptAuthTokens, "chatgptAuthTokens"),
        (Self::Headers, "headers"),
        (Self::AgentIdentity, "agentIdentity"),
        (Self::PersonalAccessToken, "personalAccessToken"),
        (Self::BedrockApiKey, "bedrockApiKey"),
        (Self::BedrockAccessKeys, "bedrockAccessKeys"),
    ];

    /// The mode of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(mode, _)| *mode)
    }

    /// Its name in the store.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(mode, _)| *mode == self);
        found.map_or("", |(_, name)| name)
    }

    /// Whether requests carry a token of an account. Narrower than [`Self::uses_codex_backend`].
    pub(crate) fn is_chatgpt_auth(self) -> bool {
        matches!(
            self,
            Self::Chatgpt | Self::ChatgptAuthTokens | Self::PersonalAccessToken
        )
    }

    /// Whether requests go to the service behind accounts rather than to that behind keys.
    pub(crate) fn uses_codex_backend(self) -> bool {
        self.is_chatgpt_auth() || matches!(self, Self::AgentIdentity | Self::Headers)
    }

    /// What it counts as where only one method is allowed.
    pub(crate) fn method(self) -> Method {
        match self {
            Self::ApiKey | Self::BedrockApiKey | Self::BedrockAccessKeys => Method::Api,
            Self::Chatgpt
            | Self::ChatgptAuthTokens
            | Self::Headers
            | Self::AgentIdentity
            | Self::PersonalAccessToken => Method::Chatgpt,
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ApiKey => "API key",
            Self::Chatgpt => "ChatGPT login",
            Self::ChatgptAuthTokens => "ChatGPT login of the connected application",
            Self::Headers => "headers of another program",
            Self::AgentIdentity => "agent identity",
            Self::PersonalAccessToken => "personal access token",
            Self::BedrockApiKey => "Amazon Bedrock key",
            Self::BedrockAccessKeys => "Amazon Bedrock access keys",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_predicates_differ_where_a_login_has_no_token() {
        let table: Vec<_> = Mode::ALL
            .iter()
            .map(|(mode, name)| (*name, mode.is_chatgpt_auth(), mode.uses_codex_backend()))
            .collect();
        assert_eq!(
            table,
            [
                ("apikey", false, false),
                ("chatgpt", true, true),
                ("chatgptAuthTokens", true, true),
                ("headers", false, true),
                ("agentIdentity", false, true),
                ("personalAccessToken", true, true),
                ("bedrockApiKey", false, false),
                ("bedrockAccessKeys", false, false),
            ]
        );
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for (mode, name) in Mode::ALL {
            assert_eq!((Mode::parse(name), mode.name()), (Some(mode), name));
        }
        assert_eq!(Mode::parse("ChatGPT"), None);
    }
}
