//! The passes of friends' reflectors: lines that a person put into a file.

use crate::disk::{DiskError, Home, atomic};

/// The lines with passes in them, each with its number; none if there is no file. What stands behind
/// a `#` is a remark.
///
/// # Errors
/// When the file cannot be read, or others can read it.
pub fn passes(home: &Home) -> Result<Vec<(usize, String)>, DiskError> {
    let Some(text) = atomic::read_secret(&home.passes())? else {
        return Ok(Vec::new());
    };
    let lines = text.lines().enumerate().map(|(index, line)| {
        let pass = line.split('#').next().unwrap_or_default().trim();
        (index + 1, pass.to_owned())
    });
    Ok(lines.filter(|(_, pass)| !pass.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn remarks_are_left_out_and_open_files_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        assert_eq!(passes(&home).expect("no file"), []);
        atomic::replace(&home.passes(), b"# friends\n\n tcpass1a # gus\ntcpass1b\n").expect("put");
        let expected = [(3, "tcpass1a".to_owned()), (4, "tcpass1b".to_owned())];
        assert_eq!(passes(&home).expect("read"), expected);
        fs::set_permissions(home.passes(), fs::Permissions::from_mode(0o644)).expect("set");
        assert!(matches!(passes(&home), Err(DiskError::OpenToOthers { .. })));
    }
}
