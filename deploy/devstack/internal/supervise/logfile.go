package supervise

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	logMax       = 64 << 20 // bytes; a second file of the same size holds what was before
	tailLinesMax = 15
	tailBytesMax = 8 << 10
)

// logFile is where a process writes directly, so it loses nothing if this program is slow
// or dead.
type logFile struct {
	path string
	file *os.File
}

// openLog keeps the previous run's log as NAME.log.1.
func openLog(dir, name string) (*logFile, error) {
	path := LogPath(dir, name)
	if err := os.Rename(path, path+".1"); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	return &logFile{path, f}, nil
}

// bound moves a log out of the way that has grown too large. The process has the file
// open, so the log is copied and truncated rather than renamed; a line written in between
// is lost.
func (l *logFile) bound() {
	info, err := l.file.Stat()
	if err != nil || info.Size() < logMax {
		return
	}
	if copyFile(l.path, l.path+".1") == nil {
		l.file.Truncate(0) // if it fails, the next round tries again
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

// tail returns the log's last lines, indented for a message.
func (l *logFile) tail() string {
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytesMax {
		f.Seek(-tailBytesMax, io.SeekEnd)
	}
	raw, err := io.ReadAll(io.LimitReader(f, tailBytesMax))
	if err != nil || len(raw) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLinesMax):]
	return "  the last lines of " + l.path + ":\n    " + strings.Join(lines, "\n    ")
}
