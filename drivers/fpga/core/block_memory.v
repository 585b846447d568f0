// One port to write, one to read; what is read comes a cycle later.
module block_memory #(
    parameter integer WIDTH        = 128,
    parameter integer ADDRESS_BITS = 10
) (
    input  wire                    clock,
    input  wire                    write,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_word,
    input  wire [ADDRESS_BITS-1:0] address,
    output reg  [WIDTH-1:0]        word
);
    reg [WIDTH-1:0] words[0:(1<<ADDRESS_BITS)-1];

    always @(posedge clock) begin
        if (write) words[write_address] <= write_word;
        word <= words[address];
    end
endmodule
