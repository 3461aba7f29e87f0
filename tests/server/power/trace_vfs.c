/* A SQLite VFS that writes down every write, truncation and sync of the files it opens, and otherwise is the one it
   stands before. `trace_begin` makes it the default of the library whose functions it is given; `trace_mark` notes in
   the same sequence that somebody was told that something is durable. power_cut.py makes power cuts out of the trace.

   Records: one byte of kind, one of file, eight each of offset and length (native), then the bytes.
   O path   W offset length data   T size   S   M number */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int64_t i64;
typedef struct File File;
typedef struct Vfs Vfs;

typedef struct Methods { /* sqlite3_io_methods, version 2 */
  int version;
  int (*close)(File *);
  int (*read)(File *, void *, int, i64);
  int (*write)(File *, const void *, int, i64);
  int (*truncate)(File *, i64);
  int (*sync)(File *, int);
  int (*size)(File *, i64 *);
  void *lock_to_device_characteristics[6];
  void *shared_memory[4];
  void *fetch[2];
} Methods;

struct File {
  const Methods *methods;
};

struct Vfs { /* sqlite3_vfs, version 3 */
  int version;
  int file_size;
  int path_max;
  Vfs *next;
  const char *name;
  void *own;
  int (*open)(Vfs *, const char *, File *, int, int *);
  void *delete_to_next_system_call[15];
};

enum { FILES = 64, TABLES = 8 };

static Vfs shadow, *real;
static FILE *out;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static File *files[FILES];
static struct {
  const Methods *real;
  Methods shadow;
} tables[TABLES];
static int tables_used;

static void note(char kind, int file, i64 offset, i64 length, const void *data) {
  fputc(kind, out);
  fputc(file, out);
  fwrite(&offset, 8, 1, out);
  fwrite(&length, 8, 1, out);
  if (data != NULL) fwrite(data, 1, (size_t)length, out);
}

static int number_of(File *file) {
  for (int i = 0; i < FILES; i++)
    if (files[i] == file) return i;
  return -1;
}

static const Methods *real_of(File *file) {
  for (int i = 0; i < tables_used; i++)
    if (file->methods == &tables[i].shadow) return tables[i].real;
  return NULL;
}

/* The record and the act are one step, so that the trace has the order of the disk. */
static int traced_write(File *file, const void *data, int length, i64 offset) {
  pthread_mutex_lock(&turn);
  note('W', number_of(file), offset, length, data);
  int code = real_of(file)->write(file, data, length, offset);
  pthread_mutex_unlock(&turn);
  return code;
}

static int traced_truncate(File *file, i64 size) {
  pthread_mutex_lock(&turn);
  note('T', number_of(file), size, 0, NULL);
  int code = real_of(file)->truncate(file, size);
  pthread_mutex_unlock(&turn);
  return code;
}

static int traced_sync(File *file, int flags) {
  pthread_mutex_lock(&turn);
  note('S', number_of(file), 0, 0, NULL);
  pthread_mutex_unlock(&turn);
  (void)flags; /* the trace is the disk: nothing is gained by waiting for the real one */
  return 0;
}

static int traced_close(File *file) {
  pthread_mutex_lock(&turn);
  const Methods *methods = real_of(file);
  int number = number_of(file);
  if (number >= 0) files[number] = NULL;
  pthread_mutex_unlock(&turn);
  file->methods = methods;
  return methods->close(file);
}

static const Methods *shadow_of(const Methods *methods) {
  for (int i = 0; i < tables_used; i++)
    if (tables[i].real == methods) return &tables[i].shadow;
  if (tables_used == TABLES) return NULL;
  Methods *own = &tables[tables_used].shadow;
  memcpy(own, methods, sizeof(Methods));
  own->version = 2; /* no memory-mapped pages: everything passes write() */
  own->close = traced_close;
  own->write = traced_write;
  own->truncate = traced_truncate;
  own->sync = traced_sync;
  tables[tables_used++].real = methods;
  return own;
}

static int traced_open(Vfs *vfs, const char *path, File *file, int flags, int *flags_out) {
  (void)vfs;
  int code = real->open(real, path, file, flags, flags_out);
  if (code != 0 || path == NULL) return code;
  pthread_mutex_lock(&turn);
  int number = number_of(NULL);
  const Methods *own = shadow_of(file->methods);
  if (number >= 0 && own != NULL) {
    files[number] = file;
    file->methods = own;
    note('O', number, 0, (i64)strlen(path), path);
  }
  pthread_mutex_unlock(&turn);
  return number >= 0 && own != NULL ? 0 : 1;
}

int trace_begin(const char *path, void *(*find)(const char *), int (*register_vfs)(void *, int)) {
  real = find(NULL);
  out = fopen(path, "wb");
  if (real == NULL || out == NULL) return 1;
  memcpy(&shadow, real, sizeof(Vfs));
  shadow.name = "trace";
  shadow.next = NULL;
  shadow.open = traced_open;
  return register_vfs(&shadow, 1);
}

void trace_mark(i64 number) {
  pthread_mutex_lock(&turn);
  note('M', 0, number, 0, NULL);
  pthread_mutex_unlock(&turn);
}

void trace_end(void) {
  pthread_mutex_lock(&turn);
  fclose(out);
  out = NULL;
}
