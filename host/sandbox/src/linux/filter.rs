//! The system call filter.
//!
//! A deny list on purpose: commands are arbitrary programs, and the files and the network are already closed by other
//! layers. What is listed either reaches other processes, opens large parts of the kernel, or undoes those layers.
//!
//! When a filter is installed, the kernel checks and compiles it and walks it once for every call number. A list of
//! rules for all calls would take 0.25 ms at each start of a command; so calls are looked up in a search tree, and only
//! the few whose arguments matter have rules behind it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::{look_up, set_up};
use crate::error::Unavailable;

/// What is denied besides the list that always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Denials {
    /// Sockets, except connected pairs and local stream sockets that connect to nothing.
    pub(super) network: bool,
    /// Changes of modes, owners, times and extended attributes.
    pub(super) metadata: bool,
}

/// A filter that the kernel takes.
pub(super) type Program = std::sync::Arc<[libc::sock_filter]>;

/// Compiles a filter, once per process for each kind.
pub(super) fn program(denials: Denials) -> Result<Program, Unavailable> {
    static COMPILED: Mutex<BTreeMap<Denials, Program>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = compiled.get(&denials) {
        return Ok(program.clone());
    }
    let program = compile(denials)?;
    compiled.insert(denials, program.clone());
    Ok(program)
}

fn compile(denials: Denials) -> Result<Program, Unavailable> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| Unavailable::Architecture(std::env::consts::ARCH))?;
    let rules =
        rules(denials).map_err(|error| set_up("the system call filter")(Box::new(error)))?;
    let verdicts = verdicts(denials, &rules);
    let deny = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let main: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, deny, arch)
        .and_then(TryInto::try_into)
        .map_err(|error| set_up("the system call filter")(Box::new(error)))?;
    let raw = |step: &sock_filter| libc::sock_filter {
        code: step.code,
        jt: step.jt,
        jf: step.jf,
        k: step.k,
    };
    Ok(look_up::steps(arch, &verdicts)
        .iter()
        .chain(&main)
        .map(raw)
        .collect())
}

/// What becomes of a call that is listed. The others are let through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Deny,
    SeeRules,
}

/// The listed calls, sorted by number.
fn verdicts(denials: Denials, rules: &Rules) -> Vec<(u32, Verdict)> {
    let connect: &[c_long] = if denials.network {
        &[libc::SYS_connect]
    } else {
        &[]
    };
    let metadata = if denials.metadata { METADATA } else { &[] };
    let denied = ALWAYS
        .iter()
        .chain(connect)
        .chain(metadata)
        .map(|call| (*call, Verdict::Deny));
    let ruled = rules.keys().map(|call| (*call, Verdict::SeeRules));
    let all: BTreeMap<c_long, Verdict> = denied.chain(ruled).collect();
    // Every number is small and not negative.
    all.into_iter()
        .filter_map(|(call, verdict)| Some((u32::try_from(call).ok()?, verdict)))
        .collect()
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// When calls are denied whose arguments decide.
fn rules(denials: Denials) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    rules.insert(libc::SYS_clone, any_flag(0, &NAMESPACE_FLAGS)?);
    // Faked input would be typed into the terminal, that is into a shell outside.
    rules.insert(
        libc::SYS_ioctl,
        vec![
            equals(1, libc::TIOCSTI as u32)?,
            equals(1, libc::TIOCLINUX as u32)?,
        ],
    );
    if denials.network {
        rules.insert(libc::SYS_socket, not_local_streams()?);
        rules.insert(libc::SYS_socketpair, not_local_streams()?);
    }
    Ok(rules)
}

/// Everything but local stream and packet sockets. Datagram sockets can send to any name without connecting; and
/// connecting is denied altogether, since a local socket may lead to a daemon that does what this process may not.
fn not_local_streams() -> Result<Vec<SeccompRule>, BackendError> {
    const TYPE_BITS: u64 = 0xf;
    let mut rules = vec![rule(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?];
    // The kernel makes a raw local socket a datagram one.
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        rules.push(rule(1, SeccompCmpOp::MaskedEq(TYPE_BITS), kind as u64)?);
    }
    Ok(rules)
}

fn any_flag(argument: u8, flags: &[libc::c_int]) -> Result<Vec<SeccompRule>, BackendError> {
    flags
        .iter()
        .map(|flag| u64::from(flag.cast_unsigned()))
        .map(|flag| rule(argument, SeccompCmpOp::MaskedEq(flag), flag))
        .collect()
}

fn equals(argument: u8, value: u32) -> Result<SeccompRule, BackendError> {
    rule(argument, SeccompCmpOp::Eq, value.into())
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        value,
    )?])
}

const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// `open_tree_attr`, too new for a name in every C library.
const OPEN_TREE_ATTR: c_long = 467;

const ALWAYS: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Large parts of the kernel that no build needs. io_uring would also go round this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// `fchmodat2`, `setxattrat`, `removexattrat`, `file_setattr`: too new for names in every C library.
const NEW_METADATA: [c_long; 4] = [452, 463, 466, 469];

const METADATA: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    NEW_METADATA[0],
    NEW_METADATA[1],
    NEW_METADATA[2],
    NEW_METADATA[3],
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
