//! The types generated from `wit/`. Only `convert`, the imports and the callers of exports name them.

#![allow(missing_docs, reason = "generated; the WIT files document every item")]

wasmtime::component::bindgen!({
    path: "../../wit",
    // One world with everything in it, so that each type exists once. It is never instantiated as a whole: what a
    // component exports is looked up interface by interface, and what it imports is linked by its grant.
    inline: "
        package dovetail:host;

        world everything {
            include dovetail:plugin/provider-plugin@0.1.0;
            include dovetail:plugin/login-plugin@0.1.0;
            include dovetail:plugin/account-plugin@0.1.0;
            include dovetail:plugin/wire-plugin@0.1.0;
            include dovetail:plugin/tools-plugin@0.1.0;
            include dovetail:plugin/hooks-plugin@0.1.0;
            include dovetail:plugin/sink-plugin@0.1.0;
        }
    ",
    world: "dovetail:host/everything",
    imports: {
        "dovetail:plugin/http": async,
        "dovetail:plugin/process": async,
        "dovetail:plugin/kv": async,
        "dovetail:plugin/secrets": async,
        "dovetail:plugin/credentials": async,
        "dovetail:plugin/client": async,
    },
    exports: { default: async },
    with: {
        "dovetail:plugin/credentials.lock": crate::credentials::HeldLock,
    },
});
