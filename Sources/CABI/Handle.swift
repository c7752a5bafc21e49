import CRavine
import CShims
import Ravine

/// A kind of object that callers hold by a handle.
protocol Held: AnyObject {
  /// As sentences name it: "the sampler", "a sampler".
  static var definite: StaticText { get }
  static var indefinite: StaticText { get }
  static var magic: UInt64 { get }
  /// The memory that calls with it use; nil: malloc.
  var memory: ravine_allocator? { get }
}

/// What a handle points to. The magic word catches most pointers that are not one, or not any more.
final class Handle<Object: Held> {
  fileprivate var magic = Object.magic
  fileprivate let object: Object
  fileprivate init(_ object: Object) { self.object = object }
}

/// A handle for an object, to be ended by `destroy`.
func handle<Object: Held>(of object: Object) throws(RavineError) -> OpaquePointer {
  let handle = Handle(object)
  try checkMemory()
  return OpaquePointer(Unmanaged.passRetained(handle).toOpaque())
}

/// Runs an entry point of a handle, with its memory. Out of line, as `enter` is.
@inline(never)
func open<Object: Held>(
  _ handle: OpaquePointer?, _ body: (Object) throws(RavineError) -> Void
) -> rvn_status {
  guard let handle else {
    return enter(nil) { () throws(RavineError) in throw null(Object.definite) }
  }
  let box = Unmanaged<Handle<Object>>.fromOpaque(UnsafeRawPointer(handle))
  return box._withUnsafeGuaranteedRef { found in
    guard found.magic == Object.magic else {
      return enter(nil) { () throws(RavineError) in
        throw RavineError(
          RVN_ERR_ARGUMENT, "the pointer is not \(Object.indefinite), or it was destroyed")
      }
    }
    return enter(found.object.memory) { () throws(RavineError) in try body(found.object) }
  }
}

func destroy<Object: Held>(_: Object.Type, _ handle: OpaquePointer?) {
  guard let handle else { return }
  let box = Unmanaged<Handle<Object>>.fromOpaque(UnsafeRawPointer(handle))
  guard box.takeUnretainedValue().magic == Object.magic else { return }
  box.takeUnretainedValue().magic = 0
  box.release()
}
