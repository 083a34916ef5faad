//! Names of source files.

/// A file as people call it: without the folder that a distribution's builder had it in (`/build/linux-AbC/linux-6.1.9/`,
/// `/usr/src/linux-headers-6.1.0-9/`, `debian/build/build_amd64/`). A path of another kind is as it is.
#[must_use]
pub fn shown_path(file: &str) -> &str {
    const ROOTS: &[&str] = &["/build/", "/builddir/build/", "/usr/src/"];
    let is_built = ROOTS.iter().any(|root| file.starts_with(root));
    let rest = is_built.then(|| in_tree(file)).flatten().unwrap_or(file);
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    let built = rest.strip_prefix("debian/build/").and_then(|inside| inside.split_once('/'));
    built.map_or(rest, |(_, inside)| inside)
}

/// What lies in the kernel's tree: behind the folder that has its release in its name; there may be one in another.
fn in_tree(file: &str) -> Option<&str> {
    let is_tree = |part: &str| part.starts_with("linux-") || part.starts_with("kernel-");
    let (mut rest, mut found) = (file, None);
    while let Some((part, behind)) = rest.split_once('/') {
        match is_tree(part) {
            true => found = Some(behind),
            false if found.is_some() => break,
            false => {}
        }
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::shown_path;

    #[test]
    fn a_builder_s_folder_is_no_part_of_a_file_s_name() {
        for (file, shown) in [
            ("/build/linux-Xy1/linux-6.1.9/mm/slub.c", "mm/slub.c"),
            ("/build/reproducible-path/linux-6.1.192/arch/x86/lib/memset_64.S", "arch/x86/lib/memset_64.S"),
            ("/usr/src/linux-headers-6.1.0-57-cloud-amd64/zoo/lists.c", "zoo/lists.c"),
            (
                "/builddir/build/BUILD/kernel-5.14.0-427.el9/linux-5.14.0-427.el9.x86_64/fs/open.c",
                "fs/open.c",
            ),
            (
                "debian/build/build_amd64_none_cloud-amd64/include/linux/page-flags.h",
                "include/linux/page-flags.h",
            ),
            ("./include/linux/list.h", "include/linux/list.h"),
            ("mm/slub.c", "mm/slub.c"),
            ("/srv/linux-next/mm/slub.c", "/srv/linux-next/mm/slub.c"),
            ("/usr/src/zoo-1.0/lists.c", "/usr/src/zoo-1.0/lists.c"),
        ] {
            assert_eq!(shown_path(file), shown);
        }
    }
}
