//! Waiting for something from code that is not asynchronous, and may itself be called from code that is.

use tokio::runtime::RuntimeFlavor;

/// Waits on a thread of its own. `work` makes the future there.
///
/// # Errors
/// What the work says, or why it could not be waited for.
pub(crate) fn block_on<T: Send, F>(work: impl FnOnce() -> F + Send) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(work())
    };
    let wait = || {
        let done = std::thread::scope(|scope| scope.spawn(run).join());
        done.unwrap_or_else(|_| Err("it could not be waited for".to_owned()))
    };
    // A worker of the multi-threaded runtime hands its other tasks over first.
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        Ok(_) | Err(_) => wait(),
    }
}
