//! Looks a call up in a filter: a search tree in the kernel's instructions.

use seccompiler::{TargetArch, sock_filter};

use super::filter::Verdict;

pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Steps before the rules. They end calls that are denied or not listed, and fall through to the rules for the rest.
///
/// `clone3` keeps its flags in memory, where a filter cannot look; told that it does not exist, programs fall back to
/// `clone`, whose flags are checked. The x32 numbers of x86-64 would be a second door to every call.
pub(super) fn steps(arch: TargetArch, listed: &[(u32, Verdict)]) -> Vec<sock_filter> {
    const NUMBER_OFFSET: u32 = 0;
    const ARCH_OFFSET: u32 = 4;
    const X32_BIT: u32 = 0x4000_0000;
    const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    let mut steps = vec![step(LOAD_WORD, NUMBER_OFFSET, 0, 0)];
    if arch == TargetArch::x86_64 {
        steps.extend([
            step(JUMP_GREATER_OR_EQUAL, X32_BIT, 0, 1),
            step(RETURN, NO_SUCH_CALL, 0, 0),
        ]);
    }
    let clone3 = libc::SYS_clone3 as u32;
    steps.extend([
        step(JUMP_EQUAL, clone3, 0, 1),
        step(RETURN, NO_SUCH_CALL, 0, 0),
    ]);
    // Numbers mean something else on another architecture; the rules end such a process.
    steps.push(step(LOAD_WORD, ARCH_OFFSET, 0, 0));
    steps.extend([
        step(JUMP_EQUAL, audit_arch(arch), 1, 0),
        step(JUMP, TO_RULES, 0, 0),
    ]);
    steps.push(step(LOAD_WORD, NUMBER_OFFSET, 0, 0));
    steps.extend(search(listed));
    let len = steps.len();
    for (index, step) in steps.iter_mut().enumerate() {
        if step.code == JUMP && step.k == TO_RULES {
            // A filter has at most 4096 steps.
            step.k = (len - index - 1) as u32;
        }
    }
    steps
}

/// Stands for the distance to the rules until that is known.
const TO_RULES: u32 = u32::MAX;

/// A search tree over sorted numbers.
fn search(listed: &[(u32, Verdict)]) -> Vec<sock_filter> {
    const LEAF: usize = 4;
    if listed.len() <= LEAF {
        return leaf(listed);
    }
    let (low, high) = listed.split_at(listed.len() / 2);
    let (low_steps, high_steps) = (search(low), search(high));
    // A hundred numbers make less than 256 steps on either side, the farthest a jump can reach.
    let over_low = u8::try_from(low_steps.len()).expect("the lists of calls are short");
    let mut steps = vec![step(JUMP_GREATER_OR_EQUAL, high[0].0, over_low, 0)];
    steps.extend(low_steps);
    steps.extend(high_steps);
    steps
}

/// Compares with each number; the three ways to end follow.
fn leaf(listed: &[(u32, Verdict)]) -> Vec<sock_filter> {
    const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let count = listed.len() as u8;
    let compare = |(at, (number, verdict)): (u8, &(u32, Verdict))| {
        let to_deny = count - at;
        let to_rules = to_deny + 1;
        let distance = if *verdict == Verdict::Deny {
            to_deny
        } else {
            to_rules
        };
        step(JUMP_EQUAL, *number, distance, 0)
    };
    let mut steps: Vec<sock_filter> = (0u8..).zip(listed).map(compare).collect();
    steps.extend([
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(RETURN, NOT_PERMITTED, 0, 0),
        step(JUMP, TO_RULES, 0, 0),
    ]);
    steps
}

/// The kernel's number for an architecture.
pub(super) fn audit_arch(arch: TargetArch) -> u32 {
    const LITTLE_ENDIAN_64: u32 = 0xc000_0000;
    let machine: u16 = match arch {
        TargetArch::x86_64 => libc::EM_X86_64,
        TargetArch::aarch64 => libc::EM_AARCH64,
        TargetArch::riscv64 => libc::EM_RISCV,
    };
    LITTLE_ENDIAN_64 | u32::from(machine)
}
