//! What a crash says.
//!
//! In a router's build a panic has no words: they cost a fifteenth of the binary, so a failed check ends in an instruction
//! that the processor refuses (`-Cpanic=immediate-abort`, see `cross/README.md`). Instead the address of that instruction
//! goes to the log, and since such a binary lies at the same addresses on every gateway, whoever has its symbols finds
//! the function by it: `cross/weigh mipsel --at ADDRESS`.

use std::ffi::{c_int, c_void};
use std::os::fd::AsFd;

/// What `abort` of a compiler's intrinsic comes as, depending on the processor. Other crashes have words: std tells of a
/// stack that overflowed, and of memory that is not to be had.
const TOLD: [c_int; 2] = [libc::SIGTRAP, libc::SIGILL];

const WORDS: &[u8] = concat!("ERROR linekeeper ", env!("CARGO_PKG_VERSION"), " crashed at 0x").as_bytes();

/// From now on a crash is told on standard error, which procd and journald take to the log. The process then ends by the
/// signal, as without this.
pub fn tell() {
    for signal in TOLD {
        #[expect(unsafe_code, reason = "neither std nor rustix set what happens at a signal")]
        // SAFETY: `sigaction` is a C struct of integers and a pointer that may be null, for which all zeros are valid (an
        // empty mask is all zeros on Linux). The call reads it only while it lasts. `crashed` has the form that
        // SA_SIGINFO asks for, and does nothing that is not allowed in a handler: see there.
        unsafe {
            let mut wanted: libc::sigaction = std::mem::zeroed();
            wanted.sa_sigaction = crashed as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            // Once: what comes after it ends the process.
            wanted.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
            // It fails for signals only that do not exist.
            libc::sigaction(signal, &wanted, std::ptr::null_mut());
        }
    }
}

/// Writes from its own stack and returns: the instruction is then refused once more, and nobody listens any longer. It takes
/// no lock, no memory, and calls nothing but write(2) and raise(3), so it may come in between anything.
extern "C" fn crashed(signal: c_int, about: *mut libc::siginfo_t, _: *mut c_void) {
    #[expect(unsafe_code, reason = "what a signal is about comes as a pointer")]
    // SAFETY: with SA_SIGINFO the kernel hands over a `siginfo_t` of its own making that outlives this call; `si_addr` reads
    // a field of it that is initialized for every signal, though it means something only with a code above 0.
    let address = unsafe { ((*about).si_code > 0).then(|| (*about).si_addr() as usize) };
    match address {
        Some(address) => {
            let mut line = [0; 96];
            let length = words(address, &mut line);
            // Who cannot write has nowhere to say so.
            let _ = rustix::io::write(std::io::stderr().as_fd(), line.get(..length).unwrap_or_default());
        }
        // Somebody sent it, and means an end.
        None => {
            #[expect(unsafe_code, reason = "std has no raise(3)")]
            // SAFETY: it takes a number, and is allowed in a handler. The signal waits until this one returns.
            unsafe {
                libc::raise(signal);
            }
        }
    }
}

/// Writes the line, and says how long it is.
fn words(address: usize, line: &mut [u8]) -> usize {
    let digits = (0..usize::BITS / 4).rev().map(|n| address >> (4 * n) & 15);
    let digits = digits.skip_while(|digit| *digit == 0).map(|digit| b"0123456789abcdef"[digit]);
    let text = WORDS.iter().copied().chain(digits).chain(*b"\n");
    line.iter_mut().zip(text).map(|(place, byte)| *place = byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_address() {
        let mut line = [0; 96];
        let length = words(0x0040_a1f8, &mut line);
        let said = String::from_utf8(line[..length].to_vec()).unwrap();
        assert_eq!(said, format!("ERROR linekeeper {} crashed at 0x40a1f8\n", env!("CARGO_PKG_VERSION")));
    }
}
