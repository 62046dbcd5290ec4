use super::*;
use crate::linux::look_up::*;

/// Runs a filter on one call, as the kernel does.
fn answer(program: &[libc::sock_filter], number: u32, arch: u32, arguments: [u32; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => arch,
        // Low halves of the arguments; their high halves are zero here.
        offset => {
            if offset % 8 == 0 {
                arguments[(offset as usize - 16) / 8]
            } else {
                0
            }
        }
    };
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let libc::sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut jump = |condition: bool| at += usize::from(if condition { jt } else { jf });
        match code {
            LOAD_WORD => accumulator = word(k),
            JUMP => at += k as usize,
            JUMP_EQUAL => jump(accumulator == k),
            JUMP_GREATER_OR_EQUAL => jump(accumulator >= k),
            0x25 => jump(accumulator > k),
            0x54 => accumulator &= k,
            RETURN => return k,
            other => panic!("unknown step {other:#x}"),
        }
    }
}

const DENIED: u32 = libc::SECCOMP_RET_ERRNO | 1;
const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

#[test]
fn every_call_number_gets_its_verdict() {
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    for (network, metadata) in [(false, false), (true, false), (true, true)] {
        let program = program(Denials { network, metadata }).unwrap();
        let ask =
            |call: c_long, arguments| answer(&program, call as u32, audit_arch(arch), arguments);
        for call in 0..600 {
            let listed = ALWAYS.contains(&call)
                || (metadata && METADATA.contains(&call))
                || (network && call == libc::SYS_connect);
            let expected = match call {
                libc::SYS_clone3 => libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
                // Family 0 is not the local one.
                libc::SYS_socket | libc::SYS_socketpair if network => DENIED,
                _ if listed => DENIED,
                _ => ALLOWED,
            };
            assert_eq!(ask(call, [0; 6]), expected, "call {call}");
        }
        let local = |kind: libc::c_int| [libc::AF_UNIX as u32, kind as u32, 0, 0, 0, 0];
        assert_eq!(
            ask(
                libc::SYS_socketpair,
                local(libc::SOCK_STREAM | libc::SOCK_CLOEXEC)
            ),
            ALLOWED
        );
        let datagram = if network { DENIED } else { ALLOWED };
        assert_eq!(
            ask(
                libc::SYS_socketpair,
                local(libc::SOCK_DGRAM | libc::SOCK_NONBLOCK)
            ),
            datagram
        );
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u32;
        assert_eq!(ask(libc::SYS_clone, [thread, 0, 0, 0, 0, 0]), ALLOWED);
        let namespace = (libc::CLONE_NEWUSER | libc::SIGCHLD) as u32;
        assert_eq!(ask(libc::SYS_clone, [namespace, 0, 0, 0, 0, 0]), DENIED);
        assert_eq!(
            ask(libc::SYS_ioctl, [0, libc::TIOCSTI as u32, 0, 0, 0, 0]),
            DENIED
        );
    }
}

#[test]
fn other_numberings_of_calls_open_nothing() {
    let program = program(Denials {
        network: true,
        metadata: false,
    })
    .unwrap();
    let i386 = 0x4000_0003;
    assert_eq!(
        answer(&program, libc::SYS_read as u32, i386, [0; 6]),
        libc::SECCOMP_RET_KILL_PROCESS
    );
    if cfg!(target_arch = "x86_64") {
        let x32_connect = 0x4000_0000 | libc::SYS_connect as u32;
        let native = audit_arch(TargetArch::x86_64);
        assert_eq!(
            answer(&program, x32_connect, native, [0; 6]),
            libc::SECCOMP_RET_ERRNO | 38
        );
    }
}
