package wsconn

import "context"

// lock is a mutex that a goroutine may stop waiting for.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// lock waits for the lock until ctx ends. The error is the cause of ctx's end.
func (l lock) lock(ctx context.Context) error {
	if l.tryLock() {
		return nil
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l lock) tryLock() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l lock) unlock() { <-l }

func (l lock) locked() bool { return len(l) > 0 }
