//! Code generated from `wit/`: once for what plugins import, once for each kind they export.
//!
//! Every world maps the shared interfaces to the first module, so that there is one Rust type for each type of the
//! contract. Nothing here is part of the SDK's surface; the export macros need it to be reachable.

/// What plugins may import, and the types that everything shares.
pub mod imports {
    wit_bindgen::generate!({
        path: "../wit",
        world: "imports",
        additional_derives: [PartialEq],
        generate_all,
    });
}

macro_rules! export_world {
    ($(#[$doc:meta])* $module:ident, $world:literal) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                world: $world,
                additional_derives: [PartialEq],
                additional_derives_ignore: ["decoder"],
                pub_export_macro: true,
                export_macro_name: "export",
                with: {
                    "dovetail:plugin/types@0.1.0": crate::bindings::imports::dovetail::plugin::types,
                    "dovetail:plugin/log@0.1.0": crate::bindings::imports::dovetail::plugin::log,
                    "dovetail:plugin/config@0.1.0": crate::bindings::imports::dovetail::plugin::config,
                    "dovetail:plugin/clock@0.1.0": crate::bindings::imports::dovetail::plugin::clock,
                    "dovetail:plugin/http@0.1.0": crate::bindings::imports::dovetail::plugin::http,
                    "dovetail:plugin/process@0.1.0": crate::bindings::imports::dovetail::plugin::process,
                    "dovetail:plugin/kv@0.1.0": crate::bindings::imports::dovetail::plugin::kv,
                    "dovetail:plugin/secrets@0.1.0": crate::bindings::imports::dovetail::plugin::secrets,
                    "dovetail:plugin/credentials@0.1.0": crate::bindings::imports::dovetail::plugin::credentials,
                    "dovetail:plugin/client@0.1.0": crate::bindings::imports::dovetail::plugin::client,
                },
                generate_all,
            });
        }
    };
}

export_world!(
    /// The provider world.
    provider,
    "provider-plugin"
);
export_world!(
    /// The login world.
    login,
    "login-plugin"
);
export_world!(
    /// The account world.
    account,
    "account-plugin"
);
export_world!(
    /// The wire world.
    wire,
    "wire-plugin"
);
export_world!(
    /// The tools world.
    tools,
    "tools-plugin"
);
export_world!(
    /// The hooks world.
    hooks,
    "hooks-plugin"
);
export_world!(
    /// The sink world.
    sink,
    "sink-plugin"
);
