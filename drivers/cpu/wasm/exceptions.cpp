// WebAssembly without exceptions: what is thrown ends the instance, and whoever runs it starts a
// new one. The words of a failure are told first.
#include <cstddef>
#include <cstdlib>
#include <new>
#include <typeinfo>

#include "../native/program.hpp"

extern "C" {

__attribute__((import_module("host"), import_name("fail"))) void host_fail(const char *words);

void *__cxa_allocate_exception(std::size_t bytes) noexcept { return std::malloc(bytes); }
void __cxa_free_exception(void *thrown) noexcept { std::free(thrown); }
void *__cxa_begin_catch(void *) noexcept { std::abort(); }
void __cxa_end_catch() { std::abort(); }
void __cxa_rethrow() { std::abort(); }

[[noreturn]] void __cxa_throw(void *thrown, std::type_info *type, void (*)(void *)) {
  if (*type == typeid(farmcpu::Failure))
    host_fail(static_cast<farmcpu::Failure *>(thrown)->what());
  else if (*type == typeid(std::bad_alloc))
    host_fail("out of memory");
  else
    host_fail(type->name());
  std::abort();
}
}
