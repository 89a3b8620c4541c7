package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func mountTmpfs(path string, bytes int64) error {
	return syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", bytes))
}

// unmountKeeping unmounts the disk and leaves, under the same path, the record of the run: report and logs, or
// all of its state.
func unmountKeeping(path string, all bool) {
	kept := path + ".kept"
	_ = os.MkdirAll(kept, 0o755)
	what := `cp -r "$1"/log "$1"/*.json "$1"/dev.env "$2"/`
	if all {
		what = `cp -a "$1"/. "$2"/`
	}
	_ = exec.Command("sh", "-c", what, "sh", path, kept).Run()
	_ = syscall.Unmount(path, syscall.MNT_DETACH)
	_ = os.Remove(path)
	_ = os.Rename(kept, path)
}
