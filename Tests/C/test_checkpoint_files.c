/* Where a checkpoint is written: the old file or the new one, whole, and nothing beside it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { N = 4000 };
static float w[N], g[N];
static rvn_optimizer *opt;
static char folder[64], path[600];

static const char *in_folder(const char *name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

/* Names in a folder, but for those that are meant to be there. */
static int others(const char *where, const char *expected) {
  DIR *d = opendir(where);
  struct dirent *e;
  int n = 0;
  if (!CHECK(d != NULL)) return -1;
  while ((e = readdir(d)) != NULL) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (expected && strcmp(e->d_name, expected) == 0) continue;
    if (n++ == 0) fprintf(stderr, "left in the folder: %s\n", e->d_name);
  }
  closedir(d);
  return n;
}

static size_t contents(const char *name, unsigned char *out, size_t cap) {
  FILE *f = fopen(in_folder(name), "rb");
  size_t n = f ? fread(out, 1, cap, f) : 0;
  if (f) fclose(f);
  return n;
}

/* A child of its own, which ends in a signal rather than hang. */
static void in_child(void (*f)(void)) {
  pid_t child = fork();
  int state = 0;
  if (child == 0) {
    check_failed = 0;
    alarm(3);
    f();
    _exit(check_failed ? 1 : 0);
  }
  CHECK(child > 0 && waitpid(child, &state, 0) == child);
  CHECK(!WIFSIGNALED(state)); /* 14: it hung */
  CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

static void where_it_goes(void) {
  static unsigned char a[N * 20], b[N * 20];
  char longest[256], name[256];
  size_t n;
  struct stat s;
  mode_t mask = umask(022);
  CHECK_OK(rvn_optimizer_save(opt, in_folder("file")));
  CHECK(others(folder, "file") == 0);
  CHECK(stat(in_folder("file"), &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & 0777) == 0644);
  (void)umask(mask);
  n = contents("file", a, sizeof a);
  CHECK(n > 3 * 4 * N);
  CHECK_OK(rvn_optimizer_save(opt, in_folder("file"))); /* over itself: the same bytes */
  CHECK(contents("file", b, sizeof b) == n);
  CHECK_BYTES(a, b, n);
  memcpy(&n, a, 8);
  CHECK((n + 8) % 8 == 0 && a[8] == '{'); /* arrays are aligned for whoever maps the file */

  /* Without a folder in the name, with other bytes in it, and as long as a name can be. */
  CHECK(chdir(folder) == 0);
  CHECK_OK(rvn_optimizer_save(opt, "file"));
  CHECK_OK(rvn_optimizer_save(opt, "./file"));
  CHECK(others(folder, "file") == 0);
  CHECK_OK(rvn_optimizer_save(opt, "a \"b\"\\ \xc3\xa9 \xff%s"));
  CHECK_OK(rvn_optimizer_load(opt, "a \"b\"\\ \xc3\xa9 \xff%s"));
  CHECK(remove("a \"b\"\\ \xc3\xa9 \xff%s") == 0);
  memset(longest, 'x', 255), longest[255] = 0;
  CHECK_OK(rvn_optimizer_save(opt, longest));
  CHECK(access(longest, F_OK) == 0);
  (void)remove(longest);
  CHECK(others(folder, "file") == 0);

  /* What another process of the same number left behind does not matter. */
  snprintf(name, sizeof name, "file.%ld.0.tmp", (long)getpid());
  n = (size_t)open(name, O_CREAT | O_WRONLY, 0600);
  close((int)n);
  CHECK_OK(rvn_optimizer_save(opt, "file"));
  (void)remove(name);
  CHECK(others(folder, "file") == 0);
  CHECK(chdir("/") == 0);
}

/* A refusal keeps what was there, says why, and leaves nothing. */
static void refused(const char *name, const char *why) {
  CHECK_STATUS(rvn_optimizer_save(opt, name), RVN_ERR_IO);
  CHECK_SAYS(why);
  CHECK_SAYS("'");
}
static void refusals(void) {
  char longest[5000], target[600];
  struct stat s;
  CHECK_OK(rvn_optimizer_save(opt, in_folder("file")));
  refused(in_folder("no/such/folder"), "No such file");
  refused(in_folder("file/below"), "Not a directory");
  CHECK(mkdir(in_folder("taken"), 0700) == 0);
  refused(in_folder("taken"), "directory");
  CHECK(stat(in_folder("taken"), &s) == 0 && S_ISDIR(s.st_mode));
  CHECK(rmdir(in_folder("taken")) == 0);
  refused(in_folder(""), "directory");
  memset(longest, 'x', sizeof longest), longest[sizeof longest - 1] = 0;
  refused(longest, "name too long");
  memcpy(longest, folder, strlen(folder)), longest[strlen(folder)] = '/', longest[strlen(folder) + 256 + 1] = 0;
  refused(longest, "name too long");
  CHECK(others(folder, "file") == 0);

  CHECK_STATUS(rvn_optimizer_load(opt, in_folder("nothing")), RVN_ERR_IO);
  CHECK_SAYS("No such file");
  CHECK_STATUS(rvn_optimizer_load(opt, folder), RVN_ERR_IO);
  CHECK_SAYS("directory");
  CHECK_STATUS(rvn_optimizer_load(opt, in_folder("file/below")), RVN_ERR_IO);

  /* A link is followed, or replaced; in any case the file can be loaded by that name. */
  strcpy(target, in_folder("file"));
  CHECK(symlink(target, in_folder("link")) == 0);
  CHECK_OK(rvn_optimizer_save(opt, in_folder("link")));
  CHECK_OK(rvn_optimizer_load(opt, in_folder("link")));
  CHECK(remove(in_folder("link")) == 0);
  CHECK(symlink("link", in_folder("link")) == 0);
  CHECK_STATUS(rvn_optimizer_load(opt, in_folder("link")), RVN_ERR_IO);
  CHECK(remove(in_folder("link")) == 0);
}

/* What is not a file is not replaced by one (as root, /dev/null would be), and does not block. */
static void pipes(void) {
  struct stat s;
  CHECK(mkfifo(in_folder("pipe"), 0600) == 0);
  CHECK_STATUS(rvn_optimizer_save(opt, in_folder("pipe")), RVN_ERR_IO);
  CHECK(stat(in_folder("pipe"), &s) == 0 && S_ISFIFO(s.st_mode));
}
static void pipes_loaded(void) {
  CHECK_STATUS(rvn_optimizer_load(opt, in_folder("pipe")), RVN_ERR_IO);
}
static void devices(void) {
  CHECK_STATUS(rvn_optimizer_load(opt, "/dev/null"), RVN_ERR_IO);
  CHECK_STATUS(rvn_optimizer_load(opt, "/dev/zero"), RVN_ERR_IO);
}

/* Someone who may not write there. */
static void without_rights(void) {
  char own[128];
  CHECK(chmod(folder, 0555) == 0);
  CHECK(chmod(in_folder("file"), 0600) == 0);
  if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) return;
  refused(in_folder("file"), "Permission denied");
  refused(in_folder("new"), "Permission denied");
  CHECK_STATUS(rvn_optimizer_load(opt, in_folder("file")), RVN_ERR_IO);
  snprintf(own, sizeof own, "Permission denied");
  CHECK_SAYS(own);
}

/* A disk that is full: the limit on the size of a file does the same to a write. */
static void no_room(void) {
  static unsigned char a[N * 20], b[N * 20];
  struct rlimit limit = {20000, 20000};
  size_t n = contents("file", a, sizeof a);
  CHECK(n > 40000);
  (void)signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  w[0] += 1;
  refused(in_folder("file"), "File too large");
  CHECK(contents("file", b, sizeof b) == n);
  CHECK_BYTES(a, b, n);
  CHECK(others(folder, "file") == 0);
}

/* Somebody who reads while it is written sees a whole file each time. */
static void reading_meanwhile(void) {
  rvn_optimizer *reader = create("adamw(0.1)");
  static float other[N];
  pid_t child = fork();
  int state = 0, k;
  if (child == 0) {
    check_failed = 0;
    for (k = 0; k < (quick() ? 5 : 40); k++) {
      CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
      CHECK_OK(rvn_optimizer_save(opt, in_folder("file")));
    }
    _exit(check_failed ? 1 : 0);
  }
  CHECK_OK(add(reader, "w", other, NULL, N));
  for (k = 0; waitpid(child, &state, WNOHANG) == 0; k++) CHECK_OK(rvn_optimizer_load(reader, in_folder("file")));
  CHECK(state == 0 && k > 0);
  CHECK(others(folder, "file") == 0);
  rvn_optimizer_destroy(reader);
}

int main(void) {
  strcpy(folder, "/tmp/ravine-files-XXXXXX");
  if (!CHECK(mkdtemp(folder) != NULL)) return finish();
  fill_random(g, N, 1);
  opt = create("adamw(0.1)");
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  where_it_goes();
  refusals();
  in_child(without_rights);
  CHECK(chmod(folder, 0700) == 0);
  in_child(no_room);
  reading_meanwhile();
  in_child(devices);
  in_child(pipes);
  (void)remove(in_folder("pipe"));
  CHECK(mkfifo(in_folder("pipe"), 0600) == 0);
  in_child(pipes_loaded);
  (void)remove(in_folder("pipe"));
  (void)remove(in_folder("file"));
  CHECK(rmdir(folder) == 0);
  rvn_optimizer_destroy(opt);
  return finish();
}
