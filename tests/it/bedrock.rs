//! Amazon Bedrock: the real program and its plugin, against a model server and made-up AWS services on this machine.

mod cloud;
mod expiry;
mod refusals;
mod settings;
mod signature;
mod signing;
mod sources;

use dovetail_tests::{Lab, script};

use crate::DOVETAIL;

/// The secret access key of every credential here.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A lab whose model server takes the place of Bedrock, for a user with a home, a region, and no credentials.
async fn bedrock(responses: &[&str]) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&responses.concat()).await;
    let home = lab.outside().display().to_string();
    lab.set_env("HOME", &home);
    lab.set_env("AWS_EC2_METADATA_DISABLED", "true");
    lab.write_config(&config(&lab, "region = \"us-east-1\""));
    lab
}

/// The configuration that chooses Bedrock at the model server's address, with these lines under `aws`.
fn config(lab: &Lab, aws: &str) -> String {
    format!(
        "model_provider = \"amazon-bedrock\"\n[model_providers.amazon-bedrock]\nbase_url = \"{}\"\n\
         [model_providers.amazon-bedrock.aws]\n{aws}\n",
        lab.server().base_url()
    )
}

/// Writes a file below `~/.aws`.
fn write_aws(lab: &Lab, name: &str, text: &str) {
    let path = lab.outside().join(".aws").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A pair of keys in the environment.
fn set_keys(lab: &mut Lab, id: &str) {
    lab.set_env("AWS_ACCESS_KEY_ID", id);
    lab.set_env("AWS_SECRET_ACCESS_KEY", SECRET);
}

/// What a program or a metadata service prints, good for an hour of this century.
fn document(id: &str) -> String {
    format!(
        r#"{{"Version":1,"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"{SECRET}","SessionToken":"tok-{id}","Token":"tok-{id}","Expiration":"2099-01-01T00:00:00Z"}}"#
    )
}

/// A script of one answer.
fn answer() -> String {
    script::answer("hi")
}
