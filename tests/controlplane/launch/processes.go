package launch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	stopTimeout = 3 * time.Second
	logTail     = 2000
)

// processes are the running components, in the order in which they were started.
type processes struct {
	locate  Locate
	logs    string
	running []*process
}

type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start starts a component as a child that is killed when this program ends, however it ends.
func (p *processes) start(name string, args ...string) error {
	program, err := p.locate(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	log := filepath.Join(p.logs, name+".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()

	cmd := exec.Command(program)
	cmd.Args = append([]string{name}, args...)
	cmd.Stdout, cmd.Stderr = file, file
	// A group of its own, so that Ctrl-C in a terminal reaches us alone and the order of stopping is ours.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	started := &process{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(started.done)
	}()
	p.running = append(p.running, started)
	return nil
}

// watch does some work; it ends early, with an error, when a component ends meanwhile.
func (p *processes) watch(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, process := range p.running {
		go func() {
			select {
			case <-process.done:
				cancel(ended{process})
			case <-ctx.Done():
			}
		}()
	}
	err := work(ctx)
	if cause, is := context.Cause(ctx).(ended); is {
		return cause
	}
	return err
}

// ended says that a component is no more, though nobody stopped it.
type ended struct{ *process }

func (e ended) Error() string {
	return fmt.Sprintf("%s ended (%s); its log %s closes with:\n%s", e.name, e.cmd.ProcessState, e.log, tail(e.log))
}

// stop ends the components, last started first: politely, then by force.
func (p *processes) stop() {
	for _, process := range slices.Backward(p.running) {
		_ = process.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-process.done:
		case <-time.After(stopTimeout):
			_ = process.cmd.Process.Kill()
			<-process.done
		}
	}
	p.running = nil
}

func tail(file string) []byte {
	content, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(content[max(0, len(content)-logTail):])
}
