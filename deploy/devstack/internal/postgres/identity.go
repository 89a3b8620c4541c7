package postgres

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Identity is the user that the server runs as. Postgres refuses root.
type Identity struct {
	Name       string
	Credential *syscall.Credential // nil: ours
}

// ServerIdentity is us, or, for root, the unprivileged user for it.
func ServerIdentity() (Identity, error) {
	if os.Geteuid() != 0 {
		return Identity{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil && uid != 0 {
			return Identity{name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return Identity{}, errors.New("the local stack cannot start Postgres: it does not run as root, and this machine has neither a user postgres nor nobody; " +
		"run as a normal user, or set DATABASE_URL to a server of yours")
}

// own gives the folder to the server's user, and to nobody else.
func (id Identity) own(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if id.Credential == nil {
		return nil
	}
	return os.Chown(path, int(id.Credential.Uid), int(id.Credential.Gid))
}

// reaches reports whether the user can reach the folder: search permission on each folder
// above it.
func (id Identity) reaches(path string) bool {
	if id.Credential == nil {
		return true
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || !id.maySearch(info) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (id Identity) maySearch(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case ok && owner.Uid == id.Credential.Uid:
		return mode&0o100 != 0
	case ok && owner.Gid == id.Credential.Gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
