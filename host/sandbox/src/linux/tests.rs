//! Real commands against the real kernel. Every rule is tried in each tier that this machine offers; where it offers
//! none, the one rule left is that nothing runs.

use std::fs;
use std::io::{PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{Namespaces, support};
use super::*;
use crate::{Launch, Sandbox, StartError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Privileged,
    UserNamespace,
    LandlockOnly,
}

fn tiers() -> Vec<Tier> {
    let found = match support() {
        Ok(support) => support,
        Err(error) => {
            let policy = read_only(Path::new("/"));
            assert!(
                Sandbox::new(policy).prepare().is_err(),
                "{error}, yet a command was let through"
            );
            return Vec::new();
        }
    };
    match found.isolation {
        // A privileged host can use either kind.
        Ok(Namespaces::Privileged) => {
            vec![Tier::Privileged, Tier::UserNamespace, Tier::LandlockOnly]
        }
        Ok(Namespaces::User(_)) => vec![Tier::UserNamespace, Tier::LandlockOnly],
        Err(_) => vec![Tier::LandlockOnly],
    }
}

/// Reads a program's output to its end; whether it succeeded, and the output.
fn finish((mut process, mut output): (Process, PipeReader)) -> (bool, String) {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (process.wait().unwrap().success(), text)
}

fn read_only(cwd: &Path) -> SandboxPolicy {
    SandboxPolicy {
        mode: SandboxMode::ReadOnly,
        cwd: cwd.to_owned(),
        protected: vec![],
    }
}

/// A workspace, a place outside it, and the way to run things.
struct Lab {
    tier: Tier,
    keeper: Keeper,
    _keep: tempfile::TempDir,
    base: PathBuf,
    policy: SandboxPolicy,
}

impl Lab {
    fn new(tier: Tier) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(keep.path()).unwrap();
        for directory in ["work/sub", "work/.git/hooks", "outside"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::write(base.join("work/file"), "old").unwrap();
        fs::write(base.join("work/.git/config"), "kept").unwrap();
        fs::write(base.join("outside/file"), "kept").unwrap();
        let mode = SandboxMode::WorkspaceWrite {
            writable_roots: vec![],
            network_access: false,
            exclude_slash_tmp: true,
            exclude_tmpdir: true,
        };
        let policy = SandboxPolicy {
            mode,
            cwd: base.join("work"),
            protected: vec![],
        };
        Self {
            tier,
            keeper: Keeper::new(),
            _keep: keep,
            base,
            policy,
        }
    }

    fn read_only(tier: Tier) -> Self {
        let mut lab = Self::new(tier);
        lab.policy.mode = SandboxMode::ReadOnly;
        lab
    }

    fn with_tmp(tier: Tier) -> Self {
        let mut lab = Self::new(tier);
        if let SandboxMode::WorkspaceWrite { writable_roots, .. } = &mut lab.policy.mode {
            writable_roots.push(lab.base.clone());
        }
        lab
    }

    fn allow_network(&mut self) {
        if let SandboxMode::WorkspaceWrite { network_access, .. } = &mut self.policy.mode {
            *network_access = true;
        }
    }

    fn entry(&self) -> Entry {
        let policy = &self.policy;
        let layout = policy.layout();
        let denials = Denials {
            network: !policy.network_allowed(),
            metadata: self.tier == Tier::LandlockOnly && policy.mode == SandboxMode::ReadOnly,
        };
        let namespaces = match self.tier {
            Tier::Privileged => Some(Namespaces::Privileged),
            Tier::UserNamespace => Some(Namespaces::user()),
            Tier::LandlockOnly => None,
        };
        let plan = namespaces.map(|namespaces| {
            let protected = self
                .keeper
                .reservations
                .lock()
                .unwrap()
                .hold_missing(layout.protected(), layout.roots())
                .unwrap();
            MountPlan::new(
                namespaces,
                layout.roots(),
                &protected,
                &policy.cwd,
                &self.keeper.mark,
            )
            .unwrap()
        });
        let ruleset = ruleset::build(&layout, denials.network, plan.is_some()).unwrap();
        Entry::new(plan, ruleset, filter::program(denials).unwrap()).unwrap()
    }

    /// Starts a program inside; what it writes can be read from the pipe.
    fn start(
        &self,
        program: &Path,
        arguments: &[&str],
    ) -> Result<(Process, PipeReader), StartError> {
        self.start_by(self.entry(), program, arguments, &[])
    }

    fn start_by(
        &self,
        entry: Entry,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(Process, PipeReader), StartError> {
        let (read, write) = std::io::pipe().unwrap();
        let name = program.display().to_string();
        let arguments =
            std::iter::once(name).chain(arguments.iter().map(|text| (*text).to_owned()));
        let added = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let nothing = fs::File::open("/dev/null").unwrap();
        let launch = Launch {
            program,
            arguments: &arguments.collect::<Vec<_>>(),
            environment: &std::env::vars_os().chain(added).collect(),
            directory: &self.base.join("work"),
            input: nothing.as_fd(),
            output: write.as_fd(),
            terminal: false,
        };
        spawn(&launch, Some(entry)).map(|process| (process, read))
    }

    /// Runs a shell script inside; its output and whether it succeeded.
    fn sh(&self, script: &str) -> (bool, String) {
        finish(self.start(Path::new("/bin/sh"), &["-c", script]).unwrap())
    }

    /// Runs one of the attempts at the end of this file inside.
    fn attempt(&self, attempt: &str) -> String {
        let program = std::env::current_exe().unwrap();
        let arguments = ["--exact", "linux::tests::inside", "--nocapture"];
        let variables = [("DOVETAIL_ATTEMPT", attempt)];
        let started = self.start_by(self.entry(), &program, &arguments, &variables);
        let (_, text) = finish(started.unwrap());
        let result = text
            .split("attempt: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        result
            .map(str::to_owned)
            .unwrap_or_else(|| format!("no result in: {text}"))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.base.join(path)).unwrap()
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.base.join(path)).is_ok()
    }
}

#[track_caller]
fn assert_denied(tier: Tier, (success, text): (bool, String)) {
    let words = [
        "Permission denied",
        "Read-only file system",
        "Operation not permitted",
        "busy",
        "cross-device",
    ];
    assert!(!success, "{tier:?}: succeeded with: {text}");
    assert!(
        words.iter().any(|word| text.contains(word)),
        "{tier:?}: {text}"
    );
}

#[track_caller]
fn assert_done(tier: Tier, (success, text): (bool, String)) {
    assert!(success, "{tier:?}: {text}");
}

#[test]
fn read_only_reads_everything_and_writes_nothing() {
    for tier in tiers() {
        let lab = Lab::read_only(tier);
        assert_done(
            tier,
            lab.sh("cat file ../outside/file /etc/passwd > /dev/null"),
        );
        assert_denied(tier, lab.sh("echo new > file"));
        assert_denied(tier, lab.sh("echo new > fresh"));
        assert_denied(tier, lab.sh("mkdir fresh"));
        assert_denied(tier, lab.sh("rm file"));
        assert_denied(tier, lab.sh("mv file moved"));
        assert_denied(tier, lab.sh("ln -s file link"));
        assert_denied(tier, lab.sh("echo x > /tmp/dovetail-test-fresh"));
        assert_denied(tier, lab.sh("chmod 777 file"));
        assert_denied(tier, lab.sh("touch -d 2001-01-01 file"));
        assert_eq!(lab.read("work/file"), "old");
    }
}

#[test]
fn workspace_write_writes_inside() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        assert_done(tier, lab.sh("echo new > file && mkdir sub/d && echo x > sub/d/f && mv sub/d/f sub/g && chmod +x sub/g"));
        assert_eq!(lab.read("work/file"), "new\n");
        assert_eq!(lab.read("work/sub/g"), "x\n");
    }
}

#[test]
fn new_entries_in_the_root_need_the_mount_namespace() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        let outcome = lab.sh("echo x > fresh && mkdir d && echo y > d/f && mv fresh d && rm -r d");
        match tier {
            Tier::Privileged | Tier::UserNamespace => assert_done(tier, outcome),
            Tier::LandlockOnly => assert_denied(tier, outcome),
        }
    }
}

#[test]
fn workspace_write_leaves_the_outside_alone() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        symlink("../../outside", lab.base.join("work/sub/out")).unwrap();
        assert_denied(tier, lab.sh("echo new > ../outside/file"));
        assert_denied(tier, lab.sh("echo new > ../outside/fresh"));
        assert_denied(tier, lab.sh("echo new > sub/out/file"));
        assert_denied(tier, lab.sh("mv ../outside/file sub/"));
        assert_denied(tier, lab.sh("ln ../outside/file sub/hard"));
        assert_denied(tier, lab.sh("mv ../work ../gone"));
        if tier != Tier::LandlockOnly {
            assert_denied(tier, lab.sh("chmod 777 ../outside/file"));
            assert_denied(tier, lab.sh("touch -d 2001-01-01 ../outside/file"));
        }
        assert_eq!(lab.read("outside/file"), "kept");
    }
}

#[test]
fn git_is_protected_from_every_side() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        assert_denied(tier, lab.sh("echo x > .git/config"));
        assert_denied(tier, lab.sh("echo x > .git/fresh"));
        assert_denied(tier, lab.sh("rm -r .git/hooks"));
        assert_denied(tier, lab.sh("rm .git/config"));
        assert_denied(tier, lab.sh("mv .git gone"));
        assert_denied(tier, lab.sh("mv .git sub/gone"));
        assert_denied(tier, lab.sh("mkdir sub/evil && mv -T sub/evil .git"));
        assert_denied(
            tier,
            lab.sh("echo x > sub/hook && mv sub/hook .git/hooks/pre-commit"),
        );
        assert_denied(tier, lab.sh("ln sub/hook .git/hooks/pre-commit"));
        assert_denied(
            tier,
            lab.sh("ln .git/config sub/config && echo x > sub/config"),
        );
        assert_denied(
            tier,
            lab.sh("ln -s ../.git sub/link && echo x > sub/link/config"),
        );
        assert_denied(tier, lab.sh("cd .git && echo x > config"));
        assert_denied(tier, lab.sh("echo x > /proc/self/cwd/.git/config"));
        assert_denied(tier, lab.sh("echo x > /proc/self/root$PWD/.git/config"));
        assert_denied(tier, lab.sh("echo x > /proc/$PPID/cwd/.git/config"));
        assert_eq!(lab.read("work/.git/config"), "kept");
        assert!(!lab.exists("work/.git/hooks/pre-commit"));
        assert_done(tier, lab.sh("cat .git/config"));
    }
}

#[test]
fn a_missing_protected_name_cannot_be_made_and_leaves_nothing_behind() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        for name in [".codex", ".agents", ".aws"] {
            assert_denied(tier, lab.sh(&format!("mkdir -p {name}/x")));
            if tier != Tier::LandlockOnly {
                assert_denied(tier, lab.sh(&format!("echo x > {name}/config.toml")));
            }
            assert_denied(
                tier,
                lab.sh(&format!(
                    "mkdir sub/new; touch sub/new/f; mv -T sub/new {name}"
                )),
            );
            assert_denied(tier, lab.sh(&format!("rm -rf {name} && ln -s sub {name}")));
        }
        let base = lab.base.clone();
        drop(lab.keeper);
        let mut left: Vec<_> = fs::read_dir(base.join("work"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".git", "file", "sub"], "{tier:?}");
    }
}

#[test]
fn a_linked_git_keeps_both_the_link_and_its_target() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        fs::rename(lab.base.join("work/.git"), lab.base.join("work/sub/real")).unwrap();
        symlink("sub/real", lab.base.join("work/.git")).unwrap();
        symlink("sub/later", lab.base.join("work/.codex")).unwrap();
        assert_denied(tier, lab.sh("echo x > .git/config"));
        assert_denied(tier, lab.sh("echo x > sub/real/config"));
        assert_denied(tier, lab.sh("rm .git"));
        assert_denied(tier, lab.sh("mv sub/real sub/moved"));
        assert_denied(tier, lab.sh("mv sub moved"));
        assert_denied(tier, lab.sh("mkdir -p sub/later/x"));
        assert_eq!(lab.read("work/.git/config"), "kept");
    }
}

#[test]
fn directories_above_a_protected_path_cannot_be_moved_away() {
    for tier in tiers() {
        let mut lab = Lab::with_tmp(tier);
        fs::create_dir_all(lab.base.join("home/dovetail/plugins/a")).unwrap();
        lab.policy.protected = vec![
            lab.base.join("home/dovetail"),
            lab.base.join("later/dovetail"),
        ];
        assert_done(
            tier,
            lab.sh("echo x > ../outside/fresh || echo x > ../outside/file"),
        );
        assert_denied(tier, lab.sh("mv ../work ../moved"));
        assert_denied(tier, lab.sh("mv ../home ../moved"));
        assert_denied(tier, lab.sh("echo x > ../home/dovetail/plugins/a/a.wasm"));
        assert_denied(tier, lab.sh("mkdir -p ../later/dovetail"));
        assert_denied(tier, lab.sh("mkdir -p ../later/dovetail"));
        assert_denied(tier, lab.sh("rm -r ../home"));
        assert!(lab.exists("home/dovetail/plugins/a"));
        drop(lab.keeper);
        assert!(fs::symlink_metadata(lab.base.join("later")).is_err());
    }
}

#[test]
fn devices_work_and_others_do_not() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        assert_done(tier, lab.sh("echo x > /dev/null && head -c 4 /dev/urandom > /dev/null && head -c1 /dev/zero | wc -c"));
        assert_denied(tier, lab.sh("echo x > /dev/kmsg"));
        assert_denied(tier, lab.sh("echo 1 > /proc/sys/vm/drop_caches"));
        if tier != Tier::LandlockOnly {
            assert_done(
                tier,
                lab.sh("echo x > /dev/shm/dovetail-test && cat /dev/shm/dovetail-test"),
            );
            assert!(!Path::new("/dev/shm/dovetail-test").exists());
            assert_eq!(lab.attempt("open-terminal"), "ok");
        }
    }
}

#[test]
fn the_network_is_off_and_connected_pairs_still_work() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = format!("dovetail-test-{}-{tier:?}", std::process::id());
        let abstract_name =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let path = lab.base.join("outside/socket");
        let path_name = UnixListener::bind(&path).unwrap();
        let denied = "Operation not permitted (os error 1)";
        assert_eq!(
            lab.attempt(&format!("tcp {}", tcp.local_addr().unwrap())),
            denied
        );
        assert_eq!(lab.attempt("listen"), denied);
        assert_eq!(
            lab.attempt(&format!("udp {}", udp.local_addr().unwrap())),
            denied
        );
        assert_eq!(lab.attempt(&format!("abstract {name}")), denied);
        assert_eq!(lab.attempt(&format!("path {}", path.display())), denied);
        assert_eq!(lab.attempt("datagram-pair"), denied);
        assert_eq!(lab.attempt("pair"), "ok");
        drop((abstract_name, path_name));
    }
}

#[test]
fn the_network_is_on_where_the_policy_says_so() {
    for tier in tiers() {
        let mut lab = Lab::new(tier);
        lab.allow_network();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(
            lab.attempt(&format!("tcp {}", tcp.local_addr().unwrap())),
            "ok"
        );
        assert_eq!(lab.attempt("listen"), "ok");
        assert_denied(tier, lab.sh("echo x > ../outside/file"));
    }
}

#[test]
fn other_processes_and_the_kernels_back_doors_are_out_of_reach() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        let mut victim = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pid = victim.id();
        for attempt in ["unshare", "clone", "io_uring", "keyring", "bpf", "mount"] {
            assert_eq!(
                lab.attempt(attempt),
                "Operation not permitted (os error 1)",
                "{tier:?} {attempt}"
            );
        }
        assert_eq!(
            lab.attempt(&format!("ptrace {pid}")),
            "Operation not permitted (os error 1)"
        );
        assert_denied(tier, lab.sh(&format!("cat /proc/{pid}/environ")));
        assert_denied(tier, lab.sh(&format!("ls /proc/{pid}/root/")));
        if support().unwrap().landlock_abi >= 6 {
            assert_denied(tier, lab.sh(&format!("kill -9 {pid}")));
        }
        assert!(
            victim.try_wait().unwrap().is_none(),
            "{tier:?}: the process outside was killed"
        );
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}

#[test]
fn privileges_cannot_be_gained() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        let (_, status) = lab.sh("grep -E '^(NoNewPrivs|Seccomp|CapEff|CapPrm)' /proc/self/status");
        assert!(status.contains("NoNewPrivs:\t1"), "{tier:?}: {status}");
        assert!(status.contains("Seccomp:\t2"), "{tier:?}: {status}");
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:\t"))
            .unwrap();
        assert_eq!(
            u64::from_str_radix(effective, 16).unwrap() & !0xff,
            0,
            "{tier:?}: {status}"
        );
        // Even an owner cannot make a program that runs as another user: the bit has no effect without privileges.
        assert_done(
            tier,
            lab.sh("cp /bin/cat sub/cat && chmod u+s sub/cat && sub/cat /dev/null"),
        );
    }
}

#[test]
fn what_a_command_leaves_running_can_be_ended() {
    for tier in tiers()
        .into_iter()
        .filter(|tier| *tier != Tier::LandlockOnly)
    {
        let lab = Lab::new(tier);
        lab.keeper.used.store(true, Ordering::Relaxed);
        // The daemon keeps the pipe's writing end: reading to the end proves that it is gone.
        let script = ["-c", "setsid sleep 1000 & exit 0"];
        let (mut process, mut read) = lab.start(Path::new("/bin/sh"), &script).unwrap();
        assert!(process.wait().unwrap().success());
        lab.keeper.close();
        let mut rest = Vec::new();
        read.read_to_end(&mut rest).unwrap();
    }
}

#[test]
fn a_name_held_by_two_sandboxes_goes_with_the_last() {
    let base = tempfile::tempdir().unwrap();
    let name = base.path().join(".codex");
    let (mut first, mut second) = (Reservations::default(), Reservations::default());
    assert_eq!(
        first
            .hold_missing(std::slice::from_ref(&name), &[])
            .unwrap(),
        *std::slice::from_ref(&name)
    );
    assert_eq!(
        second
            .hold_missing(std::slice::from_ref(&name), &[])
            .unwrap(),
        *std::slice::from_ref(&name)
    );
    drop(first);
    assert!(name.exists());
    drop(second);
    assert!(!name.exists());
}

#[test]
fn a_name_left_by_a_crash_is_taken_over_and_a_persons_is_not() {
    let base = tempfile::tempdir().unwrap();
    let (left, own) = (base.path().join(".codex"), base.path().join(".agents"));
    fs::create_dir(&left).unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(&own).unwrap();
    let mut held = Reservations::default();
    held.hold_missing(&[left.clone(), own.clone()], &[])
        .unwrap();
    drop(held);
    assert!(!left.exists() && own.exists());
}

#[test]
fn a_name_that_somebody_fills_meanwhile_stays_theirs() {
    let base = tempfile::tempdir().unwrap();
    let name = base.path().join(".git");
    let mut held = Reservations::default();
    held.hold_missing(std::slice::from_ref(&name), &[]).unwrap();
    fs::write(name.join("HEAD"), "x").unwrap();
    drop(held);
    assert_eq!(fs::metadata(&name).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn a_missing_program_is_the_programs_failure() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        let error = lab.start(Path::new("/no/such/program"), &[]).unwrap_err();
        assert!(matches!(error, StartError::Program(_)), "{tier:?} {error}");
    }
}

#[test]
fn a_failure_on_the_way_in_names_the_step() {
    for tier in tiers()
        .into_iter()
        .filter(|tier| *tier != Tier::LandlockOnly)
    {
        let lab = Lab::new(tier);
        let entry = lab.entry();
        fs::remove_dir_all(lab.base.join("work/.git")).unwrap();
        let started = lab.start_by(entry, Path::new("/bin/true"), &[], &[]);
        let Err(StartError::Sandbox { step, .. }) = started else {
            panic!("not the sandbox's")
        };
        assert_eq!(step, "protecting paths under writable roots");
    }
}

#[test]
fn starting_a_command_leaves_this_process_as_it_was() {
    // Dumping would go with memory that a child with other rights shared; then `/proc/self` would be closed to us.
    let marks = || {
        // SAFETY: takes no pointers.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        (
            dumpable,
            sys::set_blocked_signals(&sys::no_signals()),
            std::env::current_dir().unwrap(),
        )
    };
    let (dumpable, blocked, directory) = marks();
    for tier in tiers() {
        assert_eq!(
            Lab::new(tier).sh("pwd > /dev/null; trap"),
            (true, String::new()),
            "{tier:?}"
        );
        let (dumpable_now, blocked_now, directory_now) = marks();
        assert_eq!(
            (dumpable, &directory),
            (dumpable_now, &directory_now),
            "{tier:?}"
        );
        for signal in 1..32 {
            // SAFETY: both sets are valid.
            let [before, now] =
                [&blocked, &blocked_now].map(|set| unsafe { libc::sigismember(set, signal) });
            assert_eq!(before, now, "{tier:?}: signal {signal}");
        }
    }
}

#[test]
fn a_command_gets_no_signal_settings_of_ours() {
    for tier in tiers() {
        let (_, status) = Lab::new(tier).sh("grep -E '^Sig(Blk|Cgt)|^SigIgn' /proc/self/status");
        let ignored = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:\t"))
            .unwrap();
        let pipe = 1 << (libc::SIGPIPE - 1);
        assert_eq!(
            u64::from_str_radix(ignored, 16).unwrap() & pipe,
            0,
            "{tier:?}: {status}"
        );
        assert!(
            status.contains("SigBlk:\t0000000000000000"),
            "{tier:?}: {status}"
        );
    }
}

#[test]
fn an_end_is_told_by_code_or_signal() {
    for tier in tiers() {
        let lab = Lab::new(tier);
        for (script, code, signal) in [("exit 3", Some(3), None), ("kill -9 $$", None, Some(9))] {
            let (mut process, _) = lab.start(Path::new("/bin/sh"), &["-c", script]).unwrap();
            let status = process.wait().unwrap();
            assert_eq!(
                (status.code(), status.signal()),
                (code, signal),
                "{tier:?} {script}"
            );
            assert_eq!(
                process.try_wait().unwrap(),
                Some(status),
                "asked again it says the same"
            );
        }
    }
}

/// Not a test of its own: what [`Lab::attempt`] runs inside.
#[test]
fn inside() {
    let Ok(attempt) = std::env::var("DOVETAIL_ATTEMPT") else {
        return;
    };
    let (kind, argument) = attempt.split_once(' ').unwrap_or((&attempt, ""));
    let result = match kind {
        "tcp" => TcpStream::connect(argument).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "udp" => UdpSocket::bind("127.0.0.1:0")
            .and_then(|socket| socket.send_to(b"x", argument))
            .map(drop),
        "abstract" => {
            let address = SocketAddr::from_abstract_name(argument).unwrap();
            UnixStream::connect_addr(&address).map(drop)
        }
        "path" => UnixStream::connect(argument).map(drop),
        "datagram-pair" => std::os::unix::net::UnixDatagram::pair().map(drop),
        "pair" => use_pair(),
        "open-terminal" => fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/ptmx")
            .map(drop),
        "unshare" => sys::unshare(libc::CLONE_NEWUSER),
        "mount" => sys::mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None),
        "ptrace" => call(
            libc::SYS_ptrace,
            [libc::PTRACE_ATTACH as i64, argument.parse().unwrap(), 0],
        ),
        "clone" => call(
            libc::SYS_clone,
            [i64::from(libc::CLONE_NEWPID | libc::SIGCHLD), 0, 0],
        ),
        "io_uring" => call(libc::SYS_io_uring_setup, [1, 0, 0]),
        "keyring" => call(libc::SYS_keyctl, [0, 0, 0]),
        "bpf" => call(libc::SYS_bpf, [0, 0, 0]),
        other => panic!("unknown attempt {other}"),
    };
    let text = match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    std::io::stdout()
        .write_all(format!("\nattempt: {text}\n").as_bytes())
        .unwrap();
    // A clone that succeeded would run the rest twice.
    std::process::exit(0);
}

fn use_pair() -> std::io::Result<()> {
    let (mut one, mut other) = UnixStream::pair()?;
    one.write_all(b"x")?;
    other.read_exact(&mut [0])
}

fn call(number: libc::c_long, [a, b, c]: [i64; 3]) -> std::io::Result<()> {
    // SAFETY: every call made here fails before it would look at memory, or takes none.
    sys::check(unsafe { libc::syscall(number, a, b, c, 0, 0) }).map(drop)
}
