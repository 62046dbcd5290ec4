//! The models of both services. There is no call that lists them.

use dovetail_plugin_api::provider::Model;

use crate::endpoint::Service;

/// What both have, best first.
const MODELS: [(&str, &str); 8] = [
    ("openai.gpt-6.1-sol", "GPT-6.1 Sol"),
    ("openai.gpt-6-astra", "GPT-6 Astra"),
    ("openai.gpt-6.1-terra", "GPT-6.1 Terra"),
    ("openai.gpt-6-sol", "GPT-6 Sol"),
    ("openai.gpt-6-luna", "GPT-6 Luna"),
    ("openai.gpt-5.6-sol", "GPT-5.6 Sol"),
    ("openai.gpt-5.6-terra", "GPT-5.6 Terra"),
    ("openai.gpt-5.6-luna", "GPT-5.6 Luna"),
];
/// What only the first has.
const MANTLE_MODELS: [(&str, &str); 1] = [("openai.gpt-5.5", "GPT-5.5")];
/// Where the second one routes requests; a part of the name.
const PROFILES: [&str; 2] = ["global.", "us."];

pub(crate) fn of(service: Service) -> Vec<Model> {
    let both = MODELS.iter().copied();
    match service {
        Service::Mantle => both
            .chain(MANTLE_MODELS)
            .map(|(slug, name)| model(slug.to_owned(), name))
            .collect(),
        Service::Runtime => PROFILES
            .iter()
            .flat_map(|profile| {
                MODELS
                    .iter()
                    .map(move |(slug, name)| model(format!("{profile}{slug}"), name))
            })
            .collect(),
    }
}

/// What else is known of a model is in the host's catalogue, under its name without what stands before it.
fn model(slug: String, name: &str) -> Model {
    Model {
        slug,
        display_name: Some(name.to_owned()),
        context_window: None,
        reasoning_efforts: Vec::new(),
        parallel_tool_calls: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_services_name_them_in_their_own_way() {
        let slugs =
            |service| -> Vec<String> { of(service).into_iter().map(|model| model.slug).collect() };
        let (mantle, runtime) = (slugs(Service::Mantle), slugs(Service::Runtime));
        assert_eq!((mantle.len(), runtime.len()), (9, 16));
        assert!(mantle.contains(&"openai.gpt-5.5".to_owned()));
        assert!(runtime.iter().all(|slug| !slug.ends_with("gpt-5.5")));
        assert_eq!(runtime[0], "global.openai.gpt-6.1-sol");
        assert_eq!(runtime[15], "us.openai.gpt-5.6-luna");
    }
}
