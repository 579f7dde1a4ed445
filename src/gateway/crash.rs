//! Writes the address of a crash to the log.
//!
//! In a router build a panic prints no message: the messages would take a fifteenth of the binary, so a failed check
//! ends in an illegal instruction (`-Cpanic=immediate-abort`, see `cross/README.md`). Instead, the address of that
//! instruction is logged. Such a binary is loaded at the same addresses on every gateway, so anyone with its symbols
//! can find the function: `cross/weigh mipsel --at ADDRESS`.

use std::ffi::{c_int, c_void};
use std::os::fd::AsFd;

/// The signals that the compiler's `abort` intrinsic raises; which one depends on the processor. Other crashes are
/// already reported by std: a stack overflow and a failed allocation.
const SIGNALS: [c_int; 2] = [libc::SIGTRAP, libc::SIGILL];

const PREFIX: &[u8] = concat!("ERROR linekeeper ", env!("CARGO_PKG_VERSION"), " crashed at 0x").as_bytes();

/// Installs the handlers. From now on a crash is reported on standard error, which procd and journald write to the log.
/// The process then still dies of the signal.
pub fn install_handlers() {
    for signal in SIGNALS {
        #[expect(unsafe_code, reason = "neither std nor rustix set what happens at a signal")]
        // SAFETY: `sigaction` is a C struct of integers and a pointer that may be null, for which all zeros are valid (an
        // empty mask is all zeros on Linux). The call reads it only while it lasts. `handle_crash` has the form that
        // SA_SIGINFO asks for, and does nothing that is not allowed in a handler: see there.
        unsafe {
            let mut wanted: libc::sigaction = std::mem::zeroed();
            wanted.sa_sigaction =
                handle_crash as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            // One shot: the next signal ends the process.
            wanted.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
            // It fails only for signal numbers that do not exist.
            libc::sigaction(signal, &wanted, std::ptr::null_mut());
        }
    }
}

/// The signal handler. It writes from its own stack and returns. The instruction then faults again, and this time the
/// default action ends the process. It takes no lock, allocates nothing and calls only write(2) and raise(3), so it may
/// interrupt anything.
extern "C" fn handle_crash(signal: c_int, about: *mut libc::siginfo_t, _: *mut c_void) {
    #[expect(unsafe_code, reason = "siginfo is passed as a pointer")]
    // SAFETY: with SA_SIGINFO the kernel hands over a `siginfo_t` of its own making that outlives this call; `si_addr` reads
    // a field of it that is initialized for every signal, though it means something only with a code above 0.
    let address = unsafe { ((*about).si_code > 0).then(|| (*about).si_addr() as usize) };
    match address {
        Some(address) => {
            let mut line = [0; 96];
            let length = write_line(address, &mut line);
            // If this write fails there is nowhere to report it.
            let _ = rustix::io::write(std::io::stderr().as_fd(), line.get(..length).unwrap_or_default());
        }
        // Another process sent the signal to end this one.
        None => {
            #[expect(unsafe_code, reason = "std has no raise(3)")]
            // SAFETY: it takes a number, and is allowed in a handler. The signal waits until this one returns.
            unsafe {
                libc::raise(signal);
            }
        }
    }
}

/// Writes the log line and returns its length, bytes.
fn write_line(address: usize, line: &mut [u8]) -> usize {
    let digits = (0..usize::BITS / 4).rev().map(|n| address >> (4 * n) & 15);
    let digits = digits.skip_while(|digit| *digit == 0).map(|digit| b"0123456789abcdef"[digit]);
    let text = PREFIX.iter().copied().chain(digits).chain(*b"\n");
    line.iter_mut().zip(text).map(|(place, byte)| *place = byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_line_contains_the_address() {
        let mut line = [0; 96];
        let length = write_line(0x0040_a1f8, &mut line);
        let written = String::from_utf8(line[..length].to_vec()).unwrap();
        assert_eq!(written, format!("ERROR linekeeper {} crashed at 0x40a1f8\n", env!("CARGO_PKG_VERSION")));
    }
}
