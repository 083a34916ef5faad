//! Which packages hold the debug files of a kernel, by the shape of its release and version strings.

/// A package to install, or to give as an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedPackage {
    /// The distribution.
    pub distro: &'static str,
    /// The package, with its version where the name alone would give another build.
    pub package: String,
}

/// Endings of Debian's releases: `6.1.0-56-cloud-amd64`.
const DEBIAN: &[&str] = &["-amd64", "-arm64", "-686", "-686-pae", "-armmp", "-riscv64", "-ppc64el", "-s390x"];
/// Endings of Ubuntu's releases: `5.15.0-91-generic`.
const UBUNTU: &[&str] = &[
    "-generic",
    "-lowlatency",
    "-generic-hwe",
    "-generic-64k",
    "-aws",
    "-azure",
    "-azure-fde",
    "-gcp",
    "-gke",
    "-gkeop",
    "-ibm",
    "-kvm",
    "-oracle",
    "-oem",
    "-nvidia",
    "-realtime",
    "-raspi",
    "-virtual",
];
/// Endings of SUSE's releases: `5.14.21-150500.55.7-default`.
const SUSE: &[&str] =
    &["-default", "-preempt", "-azure", "-rt", "-debug", "-kvmsmall", "-64kb", "-vanilla", "-pae"];

/// The packages for a kernel by its release (`uname -r`) and version (`uname -v`, which may be empty).
/// Empty where the shape is nobody's: a kernel that somebody built.
#[must_use]
pub fn wanted_packages(release: &str, version: &str) -> Vec<WantedPackage> {
    let one = |distro, package| vec![WantedPackage { distro, package }];
    let ubuntu = version.contains("Ubuntu");
    if version.contains("Debian") || (!ubuntu && ends(release, DEBIAN)) {
        return one("Debian", format!("linux-image-{release}-dbg"));
    }
    if let Some(found) = rpm(release) {
        return found;
    }
    if !ubuntu
        && is_suse(release)
        && let Some((numbers, flavour)) = release.rsplit_once('-')
    {
        // the package's version has the rebuild's number behind the release's
        let wanted =
            |what| WantedPackage { distro: "SUSE", package: format!("kernel-{flavour}-{what}-{numbers}") };
        return vec![wanted("debuginfo"), wanted("debugsource")];
    }
    if ubuntu || ends(release, UBUNTU) {
        let wanted = |p: String| WantedPackage { distro: "Ubuntu", package: p };
        return vec![
            wanted(format!("linux-image-unsigned-{release}-dbgsym")),
            wanted(format!("linux-image-{release}-dbgsym")),
        ];
    }
    if release.contains("-arch") {
        return one("Arch Linux", "none: set DEBUGINFOD_URLS=https://debuginfod.archlinux.org".into());
    }
    Vec::new()
}

fn ends(release: &str, endings: &[&str]) -> bool {
    endings.iter().any(|e| release.ends_with(e))
}

/// SUSE's second part is the build, numbers with dots (`-150500.55.7-`, `-1-`); Ubuntu's is one number after
/// a version that ends in 0 (`5.15.0-91-`).
fn is_suse(release: &str) -> bool {
    let Some((numbers, _)) = release.rsplit_once('-').filter(|_| ends(release, SUSE)) else { return false };
    let Some((version, build)) = numbers.split_once('-') else { return false };
    build.contains('.') || !version.ends_with(".0") || !release.ends_with("-azure")
}

/// Fedora, Red Hat and their kin: `VERSION-BUILD.DIST.ARCH`, a variant behind a `+`.
fn rpm(release: &str) -> Option<Vec<WantedPackage>> {
    let (plain, variant) = release.split_once('+').unwrap_or((release, ""));
    // old ones have the variant at the end without a mark: 3.10.0-1160.el7.x86_64.debug
    let (plain, variant) = match plain.strip_suffix(".debug") {
        Some(plain) => (plain, "debug"),
        None => (plain, variant),
    };
    let (build, arch) = plain.rsplit_once('.')?;
    if !["x86_64", "aarch64", "ppc64le", "s390x", "i686", "ppc64"].contains(&arch) {
        return None;
    }
    let dist = build.rsplit_once('-')?.1;
    let has = |mark: &str| dist.split('.').any(|p| p.starts_with(mark) && p.len() > mark.len());
    let distro = match () {
        () if dist.contains("uek") => "Oracle Linux",
        () if has("fc") => "Fedora",
        () if has("el") => "RHEL/CentOS",
        () if has("amzn") => "Amazon Linux",
        () if has("oe") => "openEuler",
        () if has("an") || has("al") => "Anolis/Alibaba Linux",
        () => return None,
    };
    let mut name = String::from("kernel");
    if dist.contains("uek") {
        name.push_str("-uek");
    }
    let old_rt = build.contains(".rt") && variant.is_empty();
    for part in variant.split(['+', '-']).filter(|p| !p.is_empty()).chain(old_rt.then_some("rt")) {
        name.push('-');
        name.push_str(part);
    }
    let wanted = |package| WantedPackage { distro, package };
    // the common part is one for all variants, but the real-time kernel has its own
    let common = if name.starts_with("kernel-rt") {
        "kernel-rt"
    } else if dist.contains("uek") {
        "kernel-uek"
    } else {
        "kernel"
    };
    Some(vec![
        wanted(format!("{name}-debuginfo-{plain}")),
        wanted(format!("{common}-debuginfo-common-{arch}-{plain}")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(release: &str, version: &str) -> String {
        wanted_packages(release, version)
            .first()
            .map_or("-".into(), |p| format!("{}: {}", p.distro, p.package))
    }

    #[test]
    fn every_distribution_by_its_shape() {
        let table = [
            ("6.1.0-56-cloud-amd64", "Debian: linux-image-6.1.0-56-cloud-amd64-dbg"),
            ("6.12.117+deb12-cloud-amd64", "Debian: linux-image-6.12.117+deb12-cloud-amd64-dbg"),
            ("5.15.0-91-generic", "Ubuntu: linux-image-unsigned-5.15.0-91-generic-dbgsym"),
            ("6.5.0-1023-azure", "Ubuntu: linux-image-unsigned-6.5.0-1023-azure-dbgsym"),
            ("6.6.8-200.fc39.x86_64", "Fedora: kernel-debuginfo-6.6.8-200.fc39.x86_64"),
            ("6.6.8-200.fc39.x86_64+debug", "Fedora: kernel-debug-debuginfo-6.6.8-200.fc39.x86_64"),
            ("3.10.0-1160.el7.x86_64", "RHEL/CentOS: kernel-debuginfo-3.10.0-1160.el7.x86_64"),
            ("5.14.0-362.8.1.el9_3.x86_64", "RHEL/CentOS: kernel-debuginfo-5.14.0-362.8.1.el9_3.x86_64"),
            (
                "3.10.0-1160.rt56.1131.el7.x86_64",
                "RHEL/CentOS: kernel-rt-debuginfo-3.10.0-1160.rt56.1131.el7.x86_64",
            ),
            (
                "5.15.0-100.96.32.el8uek.x86_64",
                "Oracle Linux: kernel-uek-debuginfo-5.15.0-100.96.32.el8uek.x86_64",
            ),
            ("5.10.199-190.747.amzn2.x86_64", "Amazon Linux: kernel-debuginfo-5.10.199-190.747.amzn2.x86_64"),
            ("5.14.21-150500.55.7-default", "SUSE: kernel-default-debuginfo-5.14.21-150500.55.7"),
            ("6.6.7-1-default", "SUSE: kernel-default-debuginfo-6.6.7-1"),
            ("5.14.21-150500.33.6-azure", "SUSE: kernel-azure-debuginfo-5.14.21-150500.33.6"),
            ("6.7.0-rc4-mine", "-"),
        ];
        for (release, wanted) in table {
            assert_eq!(first(release, "#1 SMP"), wanted, "{release}");
        }
    }

    #[test]
    fn the_version_string_decides_where_the_release_does_not() {
        assert!(first("5.15.0-1023-custom", "#30-Ubuntu SMP").starts_with("Ubuntu"));
        assert!(first("6.1.0-9-rt-amd64", "#1 SMP PREEMPT_RT Debian 6.1.27-1").starts_with("Debian"));
    }

    #[test]
    fn both_packages_of_red_hat() {
        let all = wanted_packages("5.14.0-362.el9.x86_64+rt", "");
        let names: Vec<&str> = all.iter().map(|p| p.package.as_str()).collect();
        let want = [
            "kernel-rt-debuginfo-5.14.0-362.el9.x86_64",
            "kernel-rt-debuginfo-common-x86_64-5.14.0-362.el9.x86_64",
        ];
        assert_eq!(names, want);
    }
}
