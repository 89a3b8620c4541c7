package disk

import (
	"io"
	"os"
	"path/filepath"
)

// OS is the file system of the operating system.
func OS() FileSystem { return osFileSystem{} }

type osFileSystem struct{}

func (fs osFileSystem) MakeDir(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := fs.MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	return fs.SyncDir(parent)
}

func (osFileSystem) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (osFileSystem) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFileSystem) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFileSystem) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (osFileSystem) Remove(name string) error { return os.Remove(name) }

func (osFileSystem) SyncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
	}()
	return d.Sync()
}

func (osFileSystem) Lock(name string) (io.Closer, error) { return lock(name) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error { return syncData(f.File) }
