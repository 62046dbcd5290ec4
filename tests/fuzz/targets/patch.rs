//! The patch envelope: any text is a patch or is refused in words, and what a patch makes of a file depends on the two
//! alone. The input is the patch, a zero byte, and the file's text.

#![no_main]

use dovetail_tools::dry_run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (patch, file) = text.split_once('\0').unwrap_or((&text, ""));
    let made = dry_run(patch, file);
    assert_eq!(dry_run(patch, file), made);
    match made {
        Ok(files) => {
            for made in files.into_iter().flatten() {
                // Lines come from the file or from the patch. A line end may be added, and be two bytes where the
                // patch has one.
                assert!(made.len() <= file.len() + 2 * patch.len() + 2, "{made:?}");
            }
        }
        Err(words) => assert!(!words.trim().is_empty()),
    }
});
