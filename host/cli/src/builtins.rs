//! The plugins inside the binary: as bytes, with their manifests. They are compiled when first used, like any other.

use dovetail_runtime::discovery::Builtin;

include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_plugin_is_a_component_that_goes_by_its_manifests_id() {
        for plugin in BUILTINS.iter().chain(DEMO) {
            let manifest: toml::Table =
                toml::from_str(plugin.manifest).expect("the manifest is TOML");
            assert_eq!(manifest["id"].as_str(), Some(plugin.id));
            // The last four bytes of the preamble tell a component from a core module.
            assert_eq!(plugin.wasm[..8], *b"\0asm\x0d\0\x01\0", "{}", plugin.id);
        }
    }
}
