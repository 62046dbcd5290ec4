//! What it can be ordered to do.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "that is what this guest is for"
)]

use std::hint::black_box;
use std::time::Duration;

use dovetail_plugin_api::process::Command;
use dovetail_plugin_api::{Error, clock, http, kv, log, secrets};

use crate::orders::{Behaviour, Orders};

/// Does it. The text, if any, is what an effect brought.
pub(crate) fn perform(orders: &Orders) -> Result<Option<String>, Error> {
    let target = orders.target.as_str();
    match orders.behave {
        Behaviour::Well => Ok(None),
        Behaviour::Trap => panic!("trapped as ordered"),
        Behaviour::Exit => std::process::exit(3),
        Behaviour::Spin => spin(),
        Behaviour::Sleep => {
            sleep(Duration::from_millis(orders.amount));
            Ok(None)
        }
        Behaviour::Allocate => allocate(),
        Behaviour::Recurse => Ok(Some(recurse(0).to_string())),
        Behaviour::FloodOutput => Ok(Some(
            "x".repeat(usize::try_from(orders.amount).unwrap_or(usize::MAX)),
        )),
        Behaviour::FloodStdout => loop {
            println!("{}", "x".repeat(1023));
        },
        Behaviour::FloodLog => loop {
            log::info("x".repeat(1024));
        },
        Behaviour::FloodHost => {
            log::info("x".repeat(usize::try_from(orders.amount).unwrap_or(usize::MAX)));
            Ok(Some("logged".to_owned()))
        }
        Behaviour::Hoard => hoard(target),
        Behaviour::ManyHeaders => many_headers(target, orders.amount).map(Some),
        Behaviour::Fail => Err(Error::other("failed as ordered")),
        Behaviour::Deny => Err(Error::denied("denied as ordered")),
        Behaviour::Retry => Err(Error::retry_after(
            "asked again as ordered",
            Duration::from_millis(orders.amount),
        )),
        Behaviour::Reject => Err(Error::invalid("rejected as ordered")),
        Behaviour::BadReturn => Ok(Some("a\r\nX-Evil: 1".to_owned())),
        Behaviour::Http => get(target).map(Some),
        Behaviour::Connect => {
            std::net::TcpStream::connect(target)?;
            Ok(Some("status 200: connected".to_owned()))
        }
        Behaviour::ReadFile => Ok(Some(std::fs::read_to_string(target)?)),
        Behaviour::WriteFile => {
            std::fs::write(target, "written as ordered")?;
            Ok(Some("written".to_owned()))
        }
        Behaviour::Env => Ok(Some(
            std::env::var(target).unwrap_or_else(|_| "not visible".to_owned()),
        )),
        Behaviour::Process => run(target).map(Some),
        Behaviour::Kv => keep(orders.amount).map(Some),
        Behaviour::Secret => Ok(Some(format!("exists: {}", secrets::exists(target)?))),
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn sleep(duration: Duration) {
    let start = clock::monotonic();
    while clock::monotonic().saturating_sub(start) < duration {}
}

fn allocate() -> ! {
    const PIECE: usize = 1 << 20;
    loop {
        std::mem::forget(black_box(vec![1_u8; PIECE]));
    }
}

#[expect(unconditional_recursion, reason = "ordered")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(frame[0] + 1) + frame[63]
}

fn hoard(path: &str) -> ! {
    loop {
        std::mem::forget(black_box(std::fs::File::open(path)));
    }
}

fn many_headers(url: &str, count: u64) -> Result<String, Error> {
    let request = (0..count).fold(http::Request::get(url), |request, at| {
        request.header(dovetail_plugin_api::Header::plain(format!("x-{at}"), "y"))
    });
    Ok(request.send()?.status.to_string())
}

fn get(url: &str) -> Result<String, Error> {
    let response = http::Request::get(url).send()?;
    let status = response.status;
    Ok(format!("status {status}: {}", response.text()?))
}

fn run(program: &str) -> Result<String, Error> {
    let output = Command::new(program).run()?;
    Ok(format!(
        "{:?}: {}",
        output.exit_code,
        String::from_utf8_lossy(&output.stdout)
    ))
}

/// Keeps so many bytes, and says what is there afterwards.
fn keep(bytes: u64) -> Result<String, Error> {
    kv::set("k", &vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)])?;
    let kept = kv::get("k")?.map_or(0, |value| value.len());
    Ok(format!("kept {kept} bytes under {:?}", kv::keys("")?))
}
