//! Packages in OCI registries: an artifact with one layer that is the archive, and perhaps one that is its signature.

use std::path::PathBuf;
use std::time::Duration;

use oci_client::Reference;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::fetch::{self, FetchError, Fetched, Writer};
use crate::registry::Registry;
use crate::{MOST_PACKED, signature};

/// The media type of the layer that is the archive.
const ARCHIVE: &str = "application/vnd.dovetail.plugin.v1.tar+zstd";
/// The media type of the layer that is its signature.
const SIGNATURE: &str = "application/vnd.dovetail.plugin.signature.v1+minisig";
/// Asking who one is and what there is takes a few small answers.
const QUESTIONS: Duration = Duration::from_secs(30);

/// Fetches the archive that a reference names. Every digest is checked: the reference's, if it has one, those of the
/// manifest, and once more the archive's.
pub(crate) async fn pull(
    reference: &Reference,
    archive: PathBuf,
    plain_http: bool,
) -> Result<Fetched, FetchError> {
    let failed = |why: String| FetchError::Registry {
        reference: format!("oci://{}", reference.whole()),
        why,
    };
    let mut registry = Registry::new(reference, plain_http).map_err(failed)?;
    let asked = timeout(QUESTIONS, registry.manifest()).await;
    let (manifest, digest) = asked
        .map_err(|_| failed("the registry does not answer in time".to_owned()))?
        .map_err(failed)?;
    let layer = archive_of(&manifest).map_err(failed)?;
    let source = match reference.digest() {
        Some(_) => format!("oci://{}", reference.whole()),
        None => format!("oci://{}@{digest}", reference.whole()),
    };
    if u64::try_from(layer.size).map_or(true, |size| size > MOST_PACKED) {
        return Err(FetchError::TooLarge(source));
    }
    let mut writer = Writer::create(archive, source.clone())?;
    stream(&mut registry, layer, |chunk| writer.take(chunk), failed).await?;
    let signature = match manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == SIGNATURE)
    {
        Some(layer) => Some(signature_of(&mut registry, layer, failed).await?),
        None => None,
    };
    let fetched = writer.finish(signature, source)?;
    match layer.digest == format!("sha256:{}", fetched.sha256) {
        true => Ok(fetched),
        false => Err(failed(format!(
            "the registry sent other bytes than its manifest names: sha256:{} instead of {}",
            fetched.sha256, layer.digest
        ))),
    }
}

fn archive_of(manifest: &OciImageManifest) -> Result<&OciDescriptor, String> {
    let mut layers = manifest
        .layers
        .iter()
        .filter(|layer| layer.media_type == ARCHIVE);
    let layer = layers.next().ok_or_else(|| {
        format!("it holds no plugin: none of its layers is of the type `{ARCHIVE}`")
    })?;
    if layers.next().is_some() {
        return Err("it holds several packages".to_owned());
    }
    match layer.digest.starts_with("sha256:") {
        true => Ok(layer),
        false => Err("its digest is not of the kind sha256".to_owned()),
    }
}

/// Reads a layer, and no more of it than its manifest says that there is.
async fn stream(
    registry: &mut Registry<'_>,
    layer: &OciDescriptor,
    mut take: impl FnMut(&[u8]) -> Result<(), FetchError>,
    failed: impl Fn(String) -> FetchError,
) -> Result<(), FetchError> {
    let mut blob = registry.blob(&layer.digest).await.map_err(&failed)?;
    let most = u64::try_from(layer.size).unwrap_or(0);
    let mut bytes = 0;
    while let Some(chunk) = blob.chunk().await.map_err(|e| failed(fetch::cause(e)))? {
        bytes += chunk.len() as u64;
        if bytes > most {
            return Err(failed(
                "the registry sent more than its manifest says".to_owned(),
            ));
        }
        take(&chunk)?;
    }
    Ok(())
}

async fn signature_of(
    registry: &mut Registry<'_>,
    layer: &OciDescriptor,
    failed: impl Fn(String) -> FetchError,
) -> Result<String, FetchError> {
    if u64::try_from(layer.size).map_or(true, |size| size > signature::LONGEST) {
        return Err(failed("its signature is too long to be one".to_owned()));
    }
    let mut bytes = Vec::new();
    let keep = |chunk: &[u8]| {
        bytes.extend_from_slice(chunk);
        Ok(())
    };
    stream(registry, layer, keep, &failed).await?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if layer.digest != format!("sha256:{digest}") {
        return Err(failed(
            "the registry sent another signature than its manifest names".to_owned(),
        ));
    }
    // What is no text is no signature, and is refused as such.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
