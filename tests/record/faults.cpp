// Put between a process and the system (LD_PRELOAD): counts what changes files under one folder and,
// at the n-th such call, kills the process (a write is half done by then) or fails from then on.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

static char folder[1024];
static std::atomic<long> calls{0};
static long at = 0;
static int failure = 0;  // 0: kill; else the errno of the n-th call and all after it

extern "C" void faults_arm(const char* path, long nth, int error) {
    strncpy(folder, path, sizeof(folder) - 1);
    at = nth;
    failure = error;
    calls = 0;
}
extern "C" long faults_calls() { return calls; }

static void die() {
    kill(getpid(), SIGKILL);
    pause();
}
static bool ours(const char* path) { return folder[0] && path && strstr(path, folder); }
static bool ours(int fd) {
    if (!folder[0]) return false;
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return false;
    path[n] = 0;
    return ours(path);
}
// Whether the call is to fail; dies where it is to die, after `before_death`.
template <typename F>
static bool due(bool concerned, F before_death) {
    if (!concerned) return false;
    const long n = ++calls;
    if (!at || n < at) return false;
    if (failure) {
        errno = failure;
        return true;
    }
    before_death();
    die();
    return true;
}
static bool due(bool concerned) {
    return due(concerned, [] {});
}
template <typename F>
static F real(F, const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}
#define REAL(name) static const auto next = real(name, #name)

extern "C" {
ssize_t write(int fd, const void* data, size_t size) {
    REAL(write);
    if (due(ours(fd), [&] { next(fd, data, size / 2); })) return -1;
    return next(fd, data, size);
}
int fsync(int fd) {
    REAL(fsync);
    return due(ours(fd)) ? -1 : next(fd);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return due(ours(fd)) ? -1 : next(fd, size);
}
int rename(const char* from, const char* to) {
    REAL(rename);
    return due(ours(from)) ? -1 : next(from, to);
}
int unlink(const char* path) {
    REAL(unlink);
    return due(ours(path)) ? -1 : next(path);
}
int mkdir(const char* path, mode_t mode) {
    REAL(mkdir);
    return due(ours(path)) ? -1 : next(path, mode);
}
int open64(const char* path, int flags, ...) {
    REAL(open64);
    va_list list;
    va_start(list, flags);
    const mode_t mode = (flags & O_CREAT) ? va_arg(list, mode_t) : 0;
    va_end(list);
    return due((flags & O_CREAT) && ours(path)) ? -1 : next(path, flags, mode);
}
}
