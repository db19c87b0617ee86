package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// guestFiles are the files from which a guest boots.
type guestFiles struct {
	kernel  string // vmlinux
	busybox string
	version string // of the kernel's package
}

// Debian's packages. The kernel is in a package on which kernelPackage depends.
const (
	kernelPackage  = "linux-image-cloud-amd64"
	busyboxPackage = "busybox-static"
)

// fetch returns the guest's files from the cache. On first use it fetches them from Debian's
// packages.
func fetch(cache string) (guestFiles, error) {
	f := guestFiles{kernel: filepath.Join(cache, "vmlinux"), busybox: filepath.Join(cache, "busybox")}
	version, err := os.ReadFile(filepath.Join(cache, "version"))
	if err == nil { // it is written last
		f.version = string(version)
		return f, nil
	}
	if runtime.GOARCH != "amd64" {
		return f, fmt.Errorf("the guest uses Debian's packages for amd64, but this is %s: use -native", runtime.GOARCH)
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return f, fmt.Errorf("%s is missing: the guest's kernel and busybox come from Debian's packages; "+
				"use Debian or Ubuntu, put vmlinux, busybox and a file version into %s, or use -native", tool, cache)
		}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return f, err
	}
	work, err := os.MkdirTemp(cache, "unpack")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(work)
	if f.version, err = unpackPackages(work, f); err != nil {
		return f, fmt.Errorf("fetching the guest's kernel and busybox: %w", err)
	}
	return f, os.WriteFile(filepath.Join(cache, "version"), []byte(f.version), 0o644)
}

// unpackPackages downloads and unpacks the packages in the folder work, and moves the guest's files
// to their places.
func unpackPackages(work string, f guestFiles) (version string, err error) {
	depends, err := output(work, "apt-cache", "depends", kernelPackage)
	if err != nil {
		return "", err
	}
	image := regexp.MustCompile(`linux-image-\S+-cloud-amd64`).FindString(depends)
	if image == "" {
		return "", fmt.Errorf("apt does not know the package %s: run apt-get update", kernelPackage)
	}
	progress("fetching %s and %s", image, busyboxPackage)
	const unsandboxed = "APT::Sandbox::User=root"
	if _, err := output(work, "apt-get", "-q", "-o", unsandboxed, "download", image, busyboxPackage); err != nil {
		return "", fmt.Errorf("%w (run apt-get update if it was not found)", err)
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return "", err
	}
	for _, deb := range debs {
		if _, err := output(work, "dpkg-deb", "-x", deb, "root"); err != nil {
			return "", err
		}
	}
	images, _ := filepath.Glob(filepath.Join(work, "root/boot/vmlinuz-*"))
	busyboxes, _ := filepath.Glob(filepath.Join(work, "root/*/busybox")) // /bin, or else /usr/bin
	if len(busyboxes) == 0 {
		busyboxes, _ = filepath.Glob(filepath.Join(work, "root/usr/bin/busybox"))
	}
	if len(images) != 1 || len(busyboxes) == 0 {
		return "", errors.New("the packages do not contain a kernel and busybox in the expected places")
	}
	packed, err := os.ReadFile(images[0])
	if err != nil {
		return "", err
	}
	kernel, err := vmlinux(packed)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(f.kernel, kernel, 0o644); err != nil {
		return "", err
	}
	return strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"), os.Rename(busyboxes[0], f.busybox)
}

// findQEMU returns the emulator's path. As root, it installs the emulator if necessary.
func findQEMU() (string, error) {
	const qemu, install = "qemu-system-x86_64", "qemu-system-x86"
	if p, err := exec.LookPath(qemu); err == nil {
		return p, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return "", fmt.Errorf("%s is missing: install it (Debian's package %s), or use -native", qemu, install)
	}
	progress("installing %s", install)
	if _, err := output("", "apt-get", "install", "-y", "-q", "--no-install-recommends", install); err != nil {
		return "", err
	}
	return exec.LookPath(qemu)
}

// output runs a command in a folder and returns its standard output. The error includes its
// standard error.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out), nil
}
